"""What is true of every selection method. A new one joins by one line in SELECTORS."""

import json
from contextlib import redirect_stderr

import numpy as np
import pytest
from datasets import Dataset
from doubles import Lengths, Letters, Numbers, Spelling, Terminal, tiny_lm

import tamis
from tamis.data.ids import example_ids
from tamis.errors import BudgetError, DataError, SettingError
from tamis.selectors import (
    DEITA,
    DSIR,
    IFD,
    LESS,
    LIMA,
    AlpaGasus,
    Clean,
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
    Privacy,
    Quota,
    Random,
    TransferredShapley,
    Vote,
    chain,
)
from tamis.selectors.base import Selector

WORDS = "red green blue moon sun star sky sea sand stone one two three".split()  # noqa: SIM905


def texts(count, seed):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, size=draw.integers(4, 30))) for _ in range(count)]


def rows(texts):
    """A pool of these texts: two words ask, the others answer; the first is the class."""
    words = [text.split() for text in texts]
    return Dataset.from_dict(
        {
            "text": texts,
            "prompt": [" ".join(some[:2]) for some in words],
            "response": [" ".join(some[2:]) for some in words],
            "label": [some[0] for some in words],
        }
    )


TARGET = rows(texts(12, seed=7))
SELECTORS = [
    Random(seed=0),
    Clean(),
    Privacy(),
    Decontaminate(against={"target": TARGET}, ngram=6, shortest=6),
    Deduplicate(near=0.7),
    Deduplicate(semantic=0.95, embedder=Letters()),
    DSIR(target=TARGET, buckets=512, min_tokens=1),
    KCenter(embedder=Numbers()),
    FacilityLocation(embedder=Numbers()),
    KCenter(embedder=Numbers(), shards=3),
    CrossTaskKNN(target=TARGET, embedder=Numbers()),
    Coreset(embedder=Numbers()),
    KNNShapley(target=TARGET, embedder=Numbers()),
    DataShapley(target=TARGET, embedder=Numbers(), permutations=20),
    TransferredShapley(target=TARGET, embedder=Numbers(), permutations=2),
    AlpaGasus(judge=Lengths(), least=0),
    LIMA(source="label"),
    DEITA(quality=Lengths(), embedder=Letters()),
    DEITA(quality=Lengths(), embedder=Letters(), shards=3),
    InstructMining(judge=Lengths(), embedder=Letters()),
    MoDS(judge=Lengths(), embedder=Letters(), lm=None),
    IFD(lm=Spelling()),
    Perplexity(lm=Spelling()),
    Vote(methods=["random", {"dsir": {"buckets": 512, "min_tokens": 1}}], target=TARGET),
    Quota(methods=[Random(seed=1), KCenter(embedder=Numbers())], shares=[2, 1]),
    chain(Deduplicate(), DSIR(target=TARGET, buckets=512, min_tokens=1)),
]
TRAINED = [
    LESS(target=TARGET, lm=tiny_lm(), epochs=1, rank=2, dimensions=64),
    DoReMi(domain="label", lm=tiny_lm(), steps=2, batch=4),
]
if tiny_lm():  # pip install "tamis[models]"
    SELECTORS += TRAINED
pytestmark = pytest.mark.parametrize("selector", SELECTORS, ids=lambda s: type(s).__name__)


@pytest.fixture(scope="module")
def pool():
    """Sixty rows, some of them copies, so that ties and duplicates are met."""
    return rows(texts(50, seed=1) + texts(10, seed=1))


def contents(pool, selection):
    return [pool[int(index)]["text"] for index in selection.indices]


def test_no_method_is_missing(selector):
    tested = {type(tested).name for tested in [*SELECTORS, *TRAINED]}
    assert set(tamis.selectors.names()) <= tested
    ours = [kind for kind in every_subclass(Selector) if kind.__module__.startswith("tamis.")]
    assert {kind.name for kind in ours if "name" in vars(kind)} == tested


def every_subclass(kind):
    for sub in kind.__subclasses__():
        yield sub
        yield from every_subclass(sub)


@pytest.mark.parametrize("k", [1, 7, 30])
def test_accounts_for_every_row(selector, pool, k):
    picked = selector.select(pool, k)
    kept = np.flatnonzero(picked.reasons == "kept")
    assert sorted(picked.indices.tolist()) == kept.tolist()
    assert len(kept) == k
    assert all(isinstance(reason, str) and reason for reason in picked.reasons)
    assert len(picked.scores) == picked.signals.num_rows == len(pool)
    assert (picked.ids == example_ids(pool)).all()


def test_row_order_changes_nothing(selector, pool):
    shuffled = pool.shuffle(seed=1)
    assert contents(pool, selector.select(pool, 9)) == contents(
        shuffled, selector.select(shuffled, 9)
    )


@pytest.mark.parametrize(("workers", "batch_rows"), [(1, 1), (2, 7), (2, 1000)])
def test_batches_and_workers_change_nothing(selector, pool, workers, batch_rows):
    plain = selector.select(pool, 9)
    other = selector.select(pool, 9, workers=workers, batch_rows=batch_rows)
    assert other.indices.tolist() == plain.indices.tolist()
    assert other.scores.tolist() == pytest.approx(plain.scores.tolist(), nan_ok=True, abs=0)
    assert other.reasons.tolist() == plain.reasons.tolist()
    assert other.signals.equals(plain.signals)


@pytest.mark.parametrize("workers", [1, 2])
def test_without_progress_nothing_is_drawn(selector, pool, workers):
    with redirect_stderr(Terminal()) as screen:
        selector.select(pool, 9, workers=workers, progress=False)
    assert screen.getvalue() == ""


def test_no_row_is_kept_without_a_score(selector, pool):
    picked = selector.select(pool, 9)
    assert not np.isnan(picked.scores[picked.indices]).any()


def test_choosing_changes_no_setting(selector, pool):
    before, printed = dict(vars(selector)), repr(selector)
    selector.select(pool, 5)
    assert vars(selector) == before
    assert repr(selector) == printed


def test_the_same_call_gives_the_same_choice(selector, pool):
    assert selector.select(pool, 9).indices.tolist() == selector.select(pool, 9).indices.tolist()


@pytest.mark.parametrize("k", [0, -1, 61, 1.5, 0.0, -0.5, float("nan"), True, "ten", 0.001])
def test_an_impossible_budget_is_refused_in_one_line(selector, pool, k):
    with pytest.raises(BudgetError, match=r"give|larger share") as raised:
        selector.select(pool, k)
    assert "\n" not in str(raised.value)


def test_a_share_is_rounded_down(selector, pool):
    assert len(selector.select(pool, 0.16)) == 9  # of 60


def test_without_k_the_method_s_own_rule_holds_or_k_is_asked_for(selector, pool):
    if selector.needs_k:
        with pytest.raises(BudgetError, match="k is missing"):
            selector.select(pool)
    else:
        assert 1 <= len(selector.select(pool)) <= len(pool)


def test_an_empty_pool_is_refused(selector):
    with pytest.raises(DataError, match="the pool has no rows"):
        selector.select(Dataset.from_dict({"text": []}), 1)


def test_a_single_row_is_a_pool(selector):
    row = rows(["red green blue moon sun star sky sea"])
    assert selector.select(row, 1).indices.tolist() == [0]


def test_a_misspelt_setting_is_named(selector):
    with pytest.raises(SettingError, match="no setting 'sede'"):
        type(selector)(sede=1)


def test_settings_are_keywords(selector):
    with pytest.raises(TypeError, match="settings are keywords"):
        type(selector)(1)


def test_settings_can_be_written_down(selector):
    assert json.loads(json.dumps(selector.settings())) == selector.settings()


def test_what_is_saved_is_read_back(selector, pool, tmp_path):
    picked = selector.select(pool, 9)
    read = type(picked).load(picked.save(tmp_path / "picked.parquet"))
    assert read.indices.tolist() == picked.indices.tolist()
    assert read.scores.tolist() == pytest.approx(picked.scores.tolist(), nan_ok=True, abs=0)
    assert read.reasons.tolist() == picked.reasons.tolist()
    assert read.signals.equals(picked.signals)
    assert (read.ids == picked.ids).all()
    assert read.method == picked.method


def test_a_pool_that_is_gone_through_in_pieces_gives_the_same(selector, pool, monkeypatch):
    whole = selector.select(pool, 9)
    monkeypatch.setattr("tamis.kernels.ordering._ROWS", 7)  # as of a pool of millions
    monkeypatch.setattr("tamis.data.scratch._SMALL", 0)
    pieces = selector.select(pool, 9)
    assert pieces.indices.tolist() == whole.indices.tolist()
    assert pieces.reasons.tolist() == whole.reasons.tolist()
    assert pieces.signals.equals(whole.signals)


def test_the_kept_rows_carry_id_score_rank_and_method(selector, pool):
    picked = selector.select(pool, 9)
    kept = picked.apply(pool)
    assert kept["text"][:] == contents(pool, picked)
    assert kept["tamis_rank"][:] == list(range(1, 10))
    assert kept["tamis_score"][:] == picked.scores[picked.indices].tolist()
    assert kept["tamis_method"][:] == [selector.name] * 9
    assert kept["tamis_id"][0] == picked.ids[picked.indices[0]].tobytes().hex()


def test_a_selection_is_applied_to_its_own_pool_only(selector, pool):
    with pytest.raises(DataError, match="give the pool that was selected from"):
        selector.select(pool, 9).apply(pool.select(range(20)))
