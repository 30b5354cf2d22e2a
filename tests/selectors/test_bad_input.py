"""Input that a method can do nothing with: one clear line, or a reason in the Selection.

Each case is asked of every method that it concerns. An impossible budget is a law of all
(`test_laws.py`); judges that answer nonsense, and domains of one row, are with the methods
that have them; a language model as a judge is in `tests/models/test_judges.py`.
"""

import numpy as np
import pytest
from datasets import Dataset
from doubles import Lengths, Letters, tiny_lm

from tamis.errors import DataError
from tamis.models.expected import ExpectedGrade
from tamis.selectors import (
    DEITA,
    DSIR,
    IFD,
    LESS,
    Coreset,
    CrossTaskKNN,
    DataShapley,
    Decontaminate,
    Deduplicate,
    DoReMi,
    FacilityLocation,
    InstructMining,
    KCenter,
    KNNShapley,
    MoDS,
    Perplexity,
    TransferredShapley,
)

WORDS = ["red", "green", "blue", "sun", "moon", "star"]


def rows(words, answer="say {0} {0}"):
    return Dataset.from_dict(
        {
            "prompt": [f"ask {word} now" for word in words],
            "response": [answer.format(word) for word in words],
            "label": [["a", "b"][i % 2] for i in range(len(words))],
        }
    )


POOL = rows(WORDS)
TARGET = rows(["sea", "sky"])
NOTHING = Dataset.from_dict({"prompt": ["", " "], "response": ["", ""], "label": ["a", "b"]})


class Constant(Letters):
    """Places every text at the same point."""

    fingerprint = "constant"

    def embed(self, texts):
        return np.ones((len(texts), 4), np.float32)


def by_name(*selectors):
    return pytest.mark.parametrize("selector", selectors, ids=lambda one: type(one).__name__)


needs_torch = pytest.mark.skipif(tiny_lm() is None, reason='pip install "tamis[models]"')


@by_name(
    DSIR(target=NOTHING),
    Decontaminate(against={"exam": NOTHING}),
    CrossTaskKNN(target=NOTHING, embedder=Letters()),
    Coreset(target=NOTHING, embedder=Letters()),
    KNNShapley(target=NOTHING, embedder=Letters()),
    DataShapley(target=NOTHING, embedder=Letters()),
    TransferredShapley(target=NOTHING, embedder=Letters()),
    pytest.param(LESS(target=NOTHING, lm=tiny_lm(), epochs=1, rank=2), marks=needs_torch),
)
def test_a_target_without_text_is_refused_in_one_line(selector):
    named = f"^{type(selector).__name__}: .*(target|benchmark 'exam').*; give [^\n]+$"
    with pytest.raises(DataError, match=named):
        selector.select(POOL, 2)


@by_name(
    KCenter(embedder=Constant()),
    FacilityLocation(embedder=Constant()),
    Coreset(embedder=Constant()),
    Coreset(target=TARGET, embedder=Constant()),
    CrossTaskKNN(target=TARGET, embedder=Constant()),
    KNNShapley(target=TARGET, embedder=Constant()),
    DataShapley(target=TARGET, embedder=Constant(), permutations=20),
    TransferredShapley(target=TARGET, embedder=Constant(), permutations=2),
    Deduplicate(semantic=0.95, embedder=Constant()),
    DEITA(quality=Lengths(), embedder=Constant()),
    MoDS(judge=Lengths(), embedder=Constant(), lm=None),
    InstructMining(judge=Lengths(), embedder=Constant()),
    pytest.param(
        IFD(lm=tiny_lm(), experience=True, embedder=Constant(), seed=3), marks=needs_torch
    ),
)
def test_constant_embeddings_leave_a_choice_with_a_reason_for_each_row(selector):
    picked = selector.select(POOL, 3)
    assert 1 <= len(picked) <= 3
    assert (picked.reasons == "kept").sum() == len(picked)
    assert np.isfinite(picked.scores[picked.indices][1:]).all()  # the first of a cover is infinite
    assert all(picked.reasons)


def long_last(*words):
    """A pool whose last answer is longer than any model's context here."""
    return Dataset.from_dict(
        {
            "prompt": [f"ask {word}" for word in words],
            "response": [*(f"say {word}" for word in words[:-1]), "z" * 2000],
            "label": ["a"] * len(words),
        }
    )


@needs_torch
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda lm: IFD(lm=lm), "no IFD: prompt and text are longer than the model's context"),
        (
            lambda lm: InstructMining(rule={"perplexity": 1.0}, lm=lm),
            "no perplexity: prompt and text are longer than the model's context",
        ),
        (
            lambda lm: Perplexity(lm=lm),
            "no perplexity: prompt and text are longer than the model's context",
        ),
        (
            lambda lm: DEITA(quality=ExpectedGrade(lm, "{output}: "), embedder=Letters()),
            'no quality: "prompt and text are longer than the model\'s context"',
        ),
    ],
)
def test_a_row_longer_than_the_context_is_named(make, reason):
    picked = make(tiny_lm()).select(long_last("red", "green", "blue"), 3)
    assert picked.reasons[-1] == reason
    assert np.isnan(picked.scores[-1])
    assert 2 not in picked.indices


@needs_torch
@by_name(
    LESS(target=TARGET, lm=tiny_lm(), epochs=1, rank=2, dimensions=64),
    DoReMi(domain="label", lm=tiny_lm(), steps=2, batch=2),
)
def test_what_can_read_a_long_row_in_parts_scores_it(selector):
    picked = selector.select(long_last("red", "green", "blue"), 3)
    assert np.isfinite(picked.scores).all()
    assert len(picked) == 3
