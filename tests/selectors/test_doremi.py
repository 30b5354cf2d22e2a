# ruff: noqa: E402 - skipped as a whole where the extra is missing
import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from doubles import Spelling, tiny_lm

torch = pytest.importorskip("torch", reason='pip install "tamis[models]"')

from tamis.errors import DataError, SettingError
from tamis.models import mixing
from tamis.selectors.doremi import DoReMi
from tamis.selectors.selection import Selection

DRAW = np.random.default_rng(0)
NOISE = ["".join(DRAW.choice(list("abcdefghij"), 40)) for _ in range(30)]
RHYME = ["onetwothree" * 4, "twothreeone" * 4, "threeonetwo" * 4] * 10
POOL = Dataset.from_dict(
    {"text": NOISE + RHYME, "domain": ["noise"] * len(NOISE) + ["rhyme"] * len(RHYME)}
)


def doremi(**settings):
    return DoReMi(**{"lm": tiny_lm(), "steps": 6, "batch": 4, "tokens": 40, **settings})


def weights(picked):
    signals = picked.signals.to_pydict()
    return dict(zip(signals["domain"], signals["weight"], strict=True))


def given(path):
    """A DoReMi whose two domains, a and b, got these weights step by step."""
    return lambda lm, domains, course: np.array([[0.5, 0.5], *([w, 1 - w] for w in path)])


def test_more_of_what_can_be_learnt_than_of_noise():
    # Both models soon know the noise as well as anyone can; the rhyme is learnt for longer.
    found = weights(doremi(steps=40, scratch=True, learning_rate=0.02).select(POOL, 9))
    assert found["rhyme"] > 1.05 * found["noise"]


def test_weights_are_the_mean_over_the_steps_and_add_up_to_one():
    picked = doremi().select(POOL, 9)
    path = np.array([picked.traces[name].to_pylist() for name in ("noise", "rhyme")])
    assert path.shape == (2, 7)
    assert path.sum(axis=0) == pytest.approx(np.ones(7))
    assert path[:, 0] == pytest.approx([0.5, 0.5])
    assert weights(picked) == pytest.approx(
        dict(zip(("noise", "rhyme"), path[:, 1:].mean(axis=1), strict=True))
    )


def test_the_reference_starts_from_the_prior_and_counts_it():
    picked = doremi(reference=True).select(POOL, 9)
    prior = dict(
        zip(*(picked.signals[name].to_pylist() for name in ("domain", "prior")), strict=True)
    )
    for name in ("noise", "rhyme"):
        path = picked.traces[name].to_pylist()
        assert path[0] == pytest.approx(prior[name])
        assert weights(picked)[name] == pytest.approx(np.mean(path))


def test_domains_share_k_by_their_weights(monkeypatch):
    monkeypatch.setattr(mixing, "mix", given([0.9, 0.7]))  # 0.8 on average
    picked = doremi().select(POOL, 20)
    assert [POOL["domain"][int(i)] for i in picked.indices].count("noise") == 16
    assert picked.reasons[~picked.kept][0] == "over quota of noise: weight 0.8, 16 kept"
    assert picked.scores.max() == pytest.approx(0.8)


def test_a_domain_that_runs_out_leaves_its_share_to_others(monkeypatch):
    monkeypatch.setattr(mixing, "mix", given([0.99]))
    picked = doremi().select(POOL, 50)
    kept = [POOL["domain"][int(i)] for i in picked.indices]
    assert (kept.count("noise"), kept.count("rhyme")) == (30, 20)


def test_more_examples_begin_with_the_same_ones():
    few, many = (doremi().select(POOL, k).indices.tolist() for k in (7, 30))
    assert many[:7] == few


def test_a_domain_of_one_row_is_a_domain():
    pool = Dataset.from_dict({"text": [*NOISE[:5], "alone"], "source": ["a"] * 5 + ["b"]})
    picked = doremi().select(pool, 6)
    assert picked.signals["domain"].to_pylist() == ["a"] * 5 + ["b"]
    assert len(picked) == 6


def test_rows_without_domain_or_text_are_not_chosen():
    pool = Dataset.from_dict({"text": ["abc", "abd", "", " "], "domain": ["a", None, "a", "b"]})
    picked = doremi().select(pool, 4)
    assert picked.indices.tolist() == [0]
    assert picked.reasons.tolist() == ["kept", "no domain", "no text", "no text"]


def test_row_order_changes_nothing_without_a_store(tmp_path, monkeypatch):
    first = doremi().select(POOL, 9)
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path / "another"))
    order = np.random.default_rng(1).permutation(len(POOL))
    other = doremi().select(POOL.select(order), 9)
    assert other.traces.equals(first.traces)
    assert [POOL["text"][int(order[i])] for i in other.indices] == [
        POOL["text"][int(i)] for i in first.indices
    ]


def test_names_of_domains_change_nothing(tmp_path, monkeypatch):
    first = weights(doremi().select(POOL, 9))
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path / "another"))
    renamed = Dataset.from_dict({"text": POOL["text"][:], "source": POOL["domain"][:]})
    swapped = renamed.map(lambda row: {"source": {"noise": "z", "rhyme": "a"}[row["source"]]})
    other = weights(doremi().select(swapped, 9))
    assert other["z"] == pytest.approx(first["noise"], rel=1e-4)


def test_the_second_run_trains_nothing(monkeypatch):
    first = doremi().select(POOL, 9)
    monkeypatch.setattr(mixing, "mix", None)
    assert doremi().select(POOL, 20).indices.tolist()[:9] == first.indices.tolist()


def test_a_prior_is_scaled_and_weighs_the_reference():
    picked = doremi(prior={"noise": 3, "rhyme": 1}, reference=True).select(POOL, 9)
    assert picked.traces["noise"][0].as_py() == pytest.approx(0.75)


def test_traces_are_saved(tmp_path):
    picked = doremi().select(POOL, 9)
    assert Selection.load(picked.save(tmp_path / "picked.parquet")).traces.equals(picked.traces)
    assert isinstance(picked.traces, pa.Table)


@pytest.mark.parametrize(
    ("settings", "columns", "message"),
    [
        ({}, {}, r"no column says where rows are from \(source, domain or dataset\); name one"),
        ({"domain": "sauce"}, {"source": ["a"]}, "no column 'sauce'; did you mean 'source'"),
        ({}, {"source": [""]}, "no row has both a domain and a text; give some"),
    ],
)
def test_a_pool_without_domains_is_refused(settings, columns, message):
    with pytest.raises(DataError, match=message):
        doremi(**settings).select(Dataset.from_dict({"text": ["abc"], **columns}), 1)


def test_a_column_of_addresses_is_no_column_of_domains():
    pool = Dataset.from_dict(
        {"text": ["abc"] * 501, "source": [f"www.{n}.org" for n in range(501)]}
    )
    with pytest.raises(
        DataError, match=r"501 domains, such as 'www.0.org'; name a column that has"
    ):
        doremi().select(pool, 1)


def test_a_prior_that_forgets_a_domain_is_refused():
    with pytest.raises(SettingError, match="prior gives domain 'rhyme' no weight; give one above"):
        doremi(prior={"noise": 1}).select(POOL, 9)


def test_a_model_that_cannot_be_trained_is_refused():
    with pytest.raises(SettingError, match=r"DoReMi: .*Spelling.* cannot be trained"):
        doremi(lm=Spelling()).select(POOL, 9)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch": 0}, {"tokens": 0}, {"rate": -1}, {"smoothing": 2}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=f"DoReMi: {next(iter(wrong))}=.*; give at"):
        doremi(**wrong)
