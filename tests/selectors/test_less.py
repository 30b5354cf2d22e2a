# ruff: noqa: E402 - skipped as a whole where the extra is missing
import numpy as np
import pytest
from datasets import Dataset
from doubles import Spelling, tiny_lm

torch = pytest.importorskip("torch", reason='pip install "tamis[models]"')

from tamis.errors import DataError, SettingError
from tamis.kernels.influence import adam_directions, task_directions
from tamis.kernels.projection import project
from tamis.models import datastore, passes
from tamis.models.gradients import adapted, example_gradients, warm_up
from tamis.selectors.less import LESS


@pytest.fixture(autouse=True)
def _exact(monkeypatch):
    """Compute in float32, so that figures can be compared."""
    monkeypatch.setattr(passes, "_computes_in", lambda module: torch.float32)


def pairs(prompts, responses, **columns):
    return Dataset.from_dict({"prompt": prompts, "response": responses, **columns})


POOL = pairs(
    ["spell", "spell", "say", "say", "count", "count", "spell", "say"],
    ["abab", "ababab", "zz", "zzzz", "onetwo", "onetwothree", "baba", "zzz"],
)
TARGET = pairs(["say"], ["zzzzzz"])


def less(target=TARGET, **settings):
    given = {"lm": tiny_lm(), "epochs": 2, "rank": 2, "dimensions": 4096, **settings}
    return LESS(target=target, **given)


def worked_out(target, tasks, *, reference):
    """The influence by its formula: a loop over epochs, in float64, without a store."""
    lm = tiny_lm()
    said = [(POOL["prompt"][:], POOL["response"][:]), (target["prompt"][:], target["response"][:])]
    scores, rates = 0.0, []
    for epoch in warm_up(lm, *said[0], lora=2, epochs=2, learning_rate=None, seed=0):
        model = adapted(lm, epoch.values, 2)
        gradients, wanted = (_gradients(model, *some) for some in said)
        moved = adam_directions(
            gradients, epoch.first, epoch.second, epoch.steps, reference=reference
        )
        moved, wanted = (
            project(v, 4096, 0, dense=reference).astype(float) for v in (moved, wanted)
        )
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        scores = scores + epoch.rate * moved @ task_directions(wanted, tasks, reference=reference).T
        rates.append(epoch.rate)
    return scores / sum(rates)


def _gradients(lm, prompts, responses):
    pieces = [cut[0] for cut in passes.sequences(lm, prompts, responses)]
    found = [None] * len(pieces)
    for which, rows in example_gradients(lm, pieces):
        for i, row in zip(which, rows, strict=True):
            found[i] = row
    return np.array(found)


@pytest.mark.parametrize("reference", [False, True])
def test_the_score_is_the_published_formula(reference):
    target = pairs(["say", "spell", "say"], ["zz", "abab", "zzz"], task=["z", "ab", "z"])
    picked = less(target, reference=reference).select(POOL)
    expected = worked_out(target, np.array([1, 0, 1]), reference=reference)
    # The store holds float16, and the fast way projects nothing so short.
    assert picked.scores == pytest.approx(expected.max(axis=1), abs=2e-3)
    assert picked.signals["influence_z"].to_pylist() == pytest.approx(expected[:, 1], abs=2e-3)
    names = np.array(["ab", "z"])[expected.argmax(axis=1)]
    assert picked.signals["task"].to_pylist() == names.tolist()


def test_a_planted_answer_is_found():
    # The target's gradient is one candidate's own.
    for row in (0, 2, 5):
        target = POOL.select([row])
        assert less(target).select(POOL, 1).indices.tolist() == [row]


def test_targets_by_name_are_tasks():
    by_column = less(pairs(["say", "spell"], ["zz", "abab"], task=["a", "b"]))
    said = Dataset.from_dict({"instruction": ["say"], "output": ["zz"]})
    by_name = less({"b": pairs(["spell"], ["abab"]), "a": said})
    first, second = by_column.select(POOL), by_name.select(POOL)
    assert first.scores == pytest.approx(second.scores, abs=1e-3)
    assert first.signals["task"] == second.signals["task"]
    assert set(first.signals.column_names) == {"influence", "task", "influence_a", "influence_b"}


def test_without_k_a_share_is_kept():
    assert len(less(share=0.25).select(POOL)) == 2
    assert len(less(share=0.01).select(POOL)) == 1


def test_the_second_run_computes_nothing(monkeypatch):
    first = less().select(POOL, 3)

    def none(*_):
        raise AssertionError("a gradient was computed")

    monkeypatch.setattr(datastore, "adapted", none)
    monkeypatch.setattr(datastore, "warm_up", none)
    again = less(share=0.5).select(POOL.shuffle(seed=2), 3)
    assert sorted(again.scores) == sorted(first.scores)


def test_another_target_computes_its_own_gradients_alone(monkeypatch):
    less().select(POOL, 3)
    asked = []
    real = datastore.example_gradients
    monkeypatch.setattr(
        datastore,
        "example_gradients",
        lambda lm, pieces: asked.append(len(pieces)) or real(lm, pieces),
    )
    less(pairs(["count"], ["onetwo"])).select(POOL, 3)
    assert asked == [1, 1]  # a target example, two epochs


def test_a_killed_run_goes_on(monkeypatch):
    real, calls = datastore.example_gradients, []

    def killed(lm, pieces):
        calls.append(len(pieces))
        if len(calls) == 4:  # target and half of the pool at the first epoch are done
            raise KeyboardInterrupt
        return real(lm, pieces)

    monkeypatch.setattr(datastore, "_NUMBERS", 1)  # an example at a time
    monkeypatch.setattr(datastore, "example_gradients", killed)
    with pytest.raises(KeyboardInterrupt):
        less().select(POOL, 3)
    monkeypatch.setattr(datastore, "example_gradients", real)
    monkeypatch.setattr(datastore, "warm_up", None)  # the tuning was kept
    whole = less().select(POOL, 3)
    assert len(whole) == 3


def test_row_order_changes_nothing_without_a_store(tmp_path, monkeypatch):
    first = less().select(POOL, 4)
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path / "another"))
    order = [5, 2, 7, 0, 1, 6, 3, 4]
    other = less().select(POOL.select(order), 4)
    assert [order[i] for i in other.indices] == first.indices.tolist()
    assert other.scores.tolist() == first.scores[order].tolist()


def test_an_example_without_a_response_has_no_score():
    pool = pairs(["say", "spell", "count"], ["zz", "", "onetwo"])
    picked = less().select(pool, 3)
    assert sorted(picked.indices.tolist()) == [0, 2]
    assert picked.reasons[1] == "no response to learn from"
    assert picked.signals["task"].to_pylist()[1] is None


def test_a_row_longer_than_the_context_counts_by_its_beginning():
    pool = pairs(["say", "say"], ["z" * 300, "z" * 1000])
    scores = less().select(pool).scores
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_plain_text_is_learnt_whole():
    picked = less(Dataset.from_dict({"text": ["zzzz"]})).select(
        Dataset.from_dict({"text": ["zzz", "abab"]}), 1
    )
    assert picked.indices.tolist() == [0]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (pairs(["say"], [""]), "the target has no response to learn from; give some"),
        ({"a": TARGET, "b": pairs(["say"], [""])}, "the target's task 'b' has no response"),
        (TARGET.select([]), "the target has no rows; give some"),
        ({}, "the target has no rows; give some"),
    ],
)
def test_a_target_that_says_nothing_is_refused(target, message):
    with pytest.raises(DataError, match=message):
        less(target).select(POOL, 1)


@pytest.mark.parametrize(
    ("target", "which"),
    [
        (pairs(["say"] * 2, ["zz", "abab"]), "the target"),
        (
            pairs(["say"] * 4, ["zz", "zz", "zz", "abab"], task=["a", "a", "b", "b"]),
            "the target's task 'b'",
        ),
    ],
)
def test_a_target_that_points_nowhere_is_refused(target, which, monkeypatch):
    def opposed(self, epoch, rows):
        sign = np.array([-1.0 if response == "abab" else 1.0 for response in rows["response"]])
        return np.outer(sign, [3.0, 4.0]).astype(np.float32)

    monkeypatch.setattr(datastore.Datastore, "gradients", opposed)
    with pytest.raises(DataError, match=f"LESS: the gradients of {which} cancel out; give other"):
        less(target).select(POOL, 1)


def test_a_pool_without_responses_is_refused():
    with pytest.raises(DataError, match="no row has a token to learn"):
        less().select(Dataset.from_dict({"prompt": ["say", "spell"]}), 1)


def test_a_model_that_cannot_be_trained_is_refused():
    with pytest.raises(SettingError, match=r"LESS: .*Spelling.* cannot be trained; give 'bundled'"):
        less(lm=Spelling()).select(POOL, 1)


@pytest.mark.parametrize(
    "wrong", [{"share": 0}, {"warm_up": 1.5}, {"epochs": 0}, {"rank": 0}, {"dimensions": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=f"LESS: {next(iter(wrong))}=.*; give"):
        less(**wrong)
