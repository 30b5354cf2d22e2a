"""What must hold whatever the pool: small pools of a few words, so that ties and copies abound."""

import numpy as np
import pytest
from datasets import Dataset
from doubles import Lengths, Letters, Numbers, Spelling
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.selectors import (
    DEITA,
    DSIR,
    IFD,
    LIMA,
    AlpaGasus,
    Clean,
    Coreset,
    Deduplicate,
    KCenter,
    KNNShapley,
    Perplexity,
    Privacy,
    Random,
)

WORDS = ["red", "green", "blue", "sun", "stone", "three"]
SAID = st.lists(st.sampled_from(WORDS), min_size=4, max_size=9)
POOLS = st.lists(SAID, min_size=2, max_size=9)
FEW = settings(max_examples=12, deadline=None)


def rows(said):
    return Dataset.from_dict(
        {
            "prompt": [" ".join(words[:2]) for words in said],
            "response": [" ".join(words[2:]) for words in said],
            "label": [words[0] for words in said],
        }
    )


TARGET = rows([["red", "sun", "blue", "sun"], ["blue", "stone", "red", "three", "green"]])
ROW_BY_ROW = [
    DSIR(target=TARGET, buckets=64),
    Clean(),
    Privacy(),
    Perplexity(lm=Spelling()),
    IFD(lm=Spelling()),
    AlpaGasus(judge=Lengths(), least=None),
    LIMA(source="label"),
]
RANKED = [
    *ROW_BY_ROW,
    Random(),
    KCenter(embedder=Numbers()),
    Coreset(embedder=Letters()),
    KNNShapley(target=TARGET, embedder=Letters()),
    Deduplicate(near=0.9),
    DEITA(quality=Lengths(), embedder=Letters()),
]


def named(selectors):
    return pytest.mark.parametrize("selector", selectors, ids=lambda s: type(s).__name__)


@named(RANKED)
@given(POOLS)
@FEW
def test_the_choice_for_k_begins_the_choice_for_more(selector, said):
    pool = rows([*said, *said[:2]])
    whole = selector.select(pool, len(pool), progress=False).indices.tolist()
    for k in range(1, len(pool)):
        picked = selector.select(pool, k, progress=False).indices.tolist()
        assert picked == whole[: len(picked)]
        assert len(picked) == min(k, len(whole))


@named([*ROW_BY_ROW, KNNShapley(target=TARGET, embedder=Letters())])
@given(POOLS)
@FEW
def test_copies_have_equal_scores(selector, said):
    scores = selector.select(rows([*said, *said]), 1, progress=False).scores
    first, second = np.split(scores, 2)
    assert first == pytest.approx(second, nan_ok=True, rel=1e-9, abs=1e-12)


@named([*ROW_BY_ROW, KCenter(embedder=Numbers()), KNNShapley(target=TARGET, embedder=Letters())])
@given(st.data())
@FEW
def test_scores_go_with_their_rows(selector, data):
    said = data.draw(st.lists(SAID, min_size=2, max_size=9, unique_by=tuple))
    order = data.draw(st.permutations(range(len(said))))
    straight = selector.select(rows(said), len(said), progress=False).scores
    moved = selector.select(rows([said[i] for i in order]), len(said), progress=False).scores
    assert moved == pytest.approx(straight[order], nan_ok=True, rel=1e-9)


class Scaled:
    """Letters, with vectors of another length: a power of two, so that no digit is rounded."""

    def __init__(self, exponent):
        self.exponent = exponent

    @property
    def fingerprint(self):
        return f"letters times 2 to the {self.exponent}"

    def embed(self, texts):
        return Letters().embed(texts) * np.float32(2.0**self.exponent)


@pytest.mark.parametrize(
    "made",
    [
        lambda embedder: Coreset(embedder=embedder),
        lambda embedder: Coreset(target=TARGET, clusters=2, embedder=embedder),
        lambda embedder: Deduplicate(semantic=0.7, embedder=embedder),
        lambda embedder: DEITA(quality=Lengths(), embedder=embedder),
    ],
    ids=["Coreset", "Coreset of a task", "Deduplicate", "DEITA"],
)
@given(POOLS, st.integers(-20, 20))
@FEW
def test_where_cosine_is_meant_lengths_of_vectors_do_not_count(made, said, exponent):
    pool = rows(said)
    plain, scaled = (
        made(embedder).select(pool, progress=False) for embedder in (Letters(), Scaled(exponent))
    )
    assert scaled.indices.tolist() == plain.indices.tolist()
    assert scaled.scores == pytest.approx(plain.scores, nan_ok=True)
    assert scaled.reasons.tolist() == plain.reasons.tolist()
