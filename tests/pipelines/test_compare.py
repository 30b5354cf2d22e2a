from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset
from proxies import WordCounts

from tamis.data.ids import example_ids
from tamis.errors import BudgetError, DataError, SettingError
from tamis.pipelines.compare import designed
from tamis.pipelines.results import Failure
from tamis.pipelines.trials import UNTRAINED, WHOLE, run_trial
from tamis.pipelines.verdicts import concluded
from tamis.selectors import DSIR, Random
from tamis.selectors.base import Selector
from tamis.selectors.selection import KEPT, Selection

DSIR_SMALL = {"dsir": {"buckets": 512, "min_tokens": 1}}


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)


def texts(draw, n, low, high, length=12):
    return [" ".join(f"w{i}" for i in draw.integers(low, high, length)) for _ in range(n)]


def mixed(n=120, seed=0):
    """Half of the pool talks as the target does, half of other things."""
    draw = np.random.default_rng(seed)
    return Dataset.from_dict({"text": texts(draw, n, 0, 60) + texts(draw, n, 100, 160)})


def wanted(n=40, seed=1):
    return Dataset.from_dict({"text": texts(np.random.default_rng(seed), n, 100, 160)})


class Two(Selector):
    name = "two"

    def _select(self, pool, k):
        reasons = np.full(len(pool), "not", object)
        reasons[:2] = KEPT
        return Selection([0, 1], np.ones(len(pool)), reasons, pa_table(np.ones(len(pool))))


def compared(pool, target, methods, **given):
    proxy = given.pop("proxy", None) or WordCounts()
    design = designed(pool, target, methods, proxy=proxy, **({"k": 30} | given))
    trials = [run_trial(turn, design.bench) for turn in design.turns]
    return concluded("c", design, trials)


def verdict(found, method):
    return next(result for result in found.results if result.method == method)


def test_what_resembles_the_target_trains_better_and_it_says_so():
    found = compared(mixed(), wanted(), ["random", DSIR_SMALL])
    result = verdict(found, "dsir")
    assert result.verdict.startswith("better than random by 0.")
    assert result.verdict.endswith("nats (95%)")
    assert result.gain - result.half_width > 0
    assert verdict(found, "random").gain is None
    assert result.rows == 30
    assert result.tokens == 360
    assert result.rows_scored == 3 * 240  # it draws anew under each seed
    assert "dsir" in str(found)


def test_a_pick_that_seeds_share_costs_what_it_took_when_it_was_made():
    design = designed(mixed(), wanted(), {"two": Two()}, proxy=WordCounts(), k=30)
    trials = [run_trial(turn, design.bench) for turn in design.turns]
    took = iter([(9.0, 500), (0.5, 0), (0.25, 0)])  # the others read what the first computed
    for i, trial in enumerate(trials):
        if trial.method == "two":
            seconds, tokens = next(took)
            trials[i] = replace(trial, select_seconds=seconds, tokens_read=tokens)
    result = verdict(concluded("c", design, trials), "two")
    assert (result.select_seconds, result.tokens_read) == (9.0, 500)


def test_the_opposite_of_the_target_is_worse():
    class Opposite(Selector):
        name = "opposite"

        def _select(self, pool, k):
            first = np.array([int(text.split()[0][1:]) for text in pool["text"][:]], float)
            indices = np.argsort(first, kind="stable")[:k]
            reasons = np.full(len(pool), "not", object)
            reasons[indices] = KEPT
            return Selection(indices, -first, reasons, pa_table(first))

    found = compared(mixed(), wanted(), {"opposite": Opposite()})
    assert verdict(found, "opposite").verdict.startswith("worse than random by")
    assert verdict(found, "opposite").picks == 1
    assert verdict(found, "opposite").trainings == 3


def pa_table(values):
    import pyarrow as pa

    return pa.table({"value": values})


def test_a_hundred_pools_without_a_signal_raise_few_false_alarms():
    # Three random draws under other names, each picking the same rows under every seed.
    alarms = 0
    for number in range(100):
        draw = np.random.default_rng(number)
        pool = Dataset.from_dict({"text": texts(draw, 60, 0, 50)})
        target = Dataset.from_dict({"text": texts(draw, 24, 0, 50)})
        methods = {f"m{i}": Random(seed=1000 + 10 * number + i) for i in range(3)}
        found = compared(
            pool, target, methods, k=10, seeds=1, draws=5, proxy=WordCounts(60), whole=False
        )
        alarms += any("better" in verdict for verdict in found.verdicts.values())
    assert alarms <= 5


def test_what_is_held_out_is_shown_to_no_method():
    design = designed(mixed(), wanted(), {"own": DSIR(target=wanted())}, proxy=WordCounts(), k=9)
    held = set(example_ids(design.bench.task.examples).tolist())
    for turn in design.turns:
        if turn.method == "own":
            assert not held & set(example_ids(turn.selector.target).tolist())
    assert design.shown == design.held_out == 20


def test_examples_of_one_s_own_leave_the_target_whole():
    design = designed(mixed(), wanted(), ["dsir"], test=wanted(30, seed=5), proxy=WordCounts(), k=9)
    assert design.shown == 40
    assert design.held_out == 30


def test_rows_of_the_target_are_counted_and_never_picked():
    target = wanted()
    pool = Dataset.from_dict({"text": mixed()["text"][:] + target["text"][:10]})
    found = compared(pool, target, [DSIR_SMALL])
    assert found.facts["exact_copies"] == 10
    assert "10 of 250 rows of the pool are in the target" in found.notes[0]
    leaked = {i.tobytes().hex() for i in example_ids(target)}
    assert not leaked & set(found.picks["example_id"].to_pylist())


def test_a_curve_has_a_result_for_each_budget_and_the_whole_pool_beside():
    found = compared(mixed(), wanted(), [DSIR_SMALL], k=[20, 40, 80])
    assert [r.budget for r in found.results if r.method == "dsir"] == [20, 40, 80]
    losses = [r.loss for r in found.results if r.method == "random"]
    assert losses == sorted(losses, reverse=True)
    assert verdict(found, WHOLE).rows == 240
    assert found.plot().axes[0].get_xlabel() == "rows"


def test_at_an_equal_number_of_tokens_long_rows_buy_no_more_training():
    draw = np.random.default_rng(2)
    pool = Dataset.from_dict({"text": texts(draw, 60, 0, 60, 40) + texts(draw, 60, 0, 60, 5)})
    target = Dataset.from_dict({"text": texts(draw, 40, 0, 60)})

    class Longest(Selector):
        name = "longest"

        def _select(self, pool, k):
            lengths = np.array([len(text) for text in pool["text"][:]], float)
            indices = np.argsort(-lengths, kind="stable")[:k]
            reasons = np.full(len(pool), "not", object)
            reasons[indices] = KEPT
            return Selection(indices, lengths, reasons, pa_table(lengths))

    rows = compared(pool, target, {"longest": Longest()}, k=20, proxy=WordCounts(60))
    tokens = compared(
        pool, target, {"longest": Longest()}, k=None, tokens=400, proxy=WordCounts(60)
    )
    assert verdict(rows, "longest").tokens == 800 > 1.3 * verdict(rows, "random").tokens
    assert verdict(tokens, "longest").rows == 10
    assert all(360 < r.tokens <= 400 for r in tokens.results if r.unit == "tokens")
    assert verdict(tokens, "longest").gain < verdict(rows, "longest").gain


def test_short_answers_are_scored_as_labels():
    draw = np.random.default_rng(4)

    def rows(n):
        label = draw.choice(["yes", "no", "maybe"], n)
        return Dataset.from_dict({"prompt": texts(draw, n, 0, 40), "completion": label.tolist()})

    found = compared(rows(100), rows(60), ["dsir"], k=20)
    result = verdict(found, "dsir")
    assert 0 <= result.accuracy <= 1
    assert np.isfinite(result.accuracy_gain)
    assert "accuracy" in found.cells[0]


def test_long_answers_are_not():
    found = compared(mixed(), wanted(), [DSIR_SMALL])
    assert verdict(found, "dsir").accuracy is None


def test_the_same_call_gives_the_same_table_and_trains_nothing_again():
    proxy = WordCounts()
    first = compared(mixed(), wanted(), [DSIR_SMALL], proxy=proxy)
    trained = proxy.trainings
    second = compared(mixed(), wanted(), [DSIR_SMALL], proxy=proxy)
    assert proxy.trainings == trained
    assert second.results == first.results
    third = compared(mixed(), wanted(), [DSIR_SMALL, "deduplicate"], proxy=proxy)
    assert proxy.trainings == trained + 3
    assert verdict(third, "dsir").gain == verdict(first, "dsir").gain


def test_the_order_of_the_pool_changes_no_figure():
    first = compared(mixed(), wanted(), [DSIR_SMALL])
    other = compared(mixed().shuffle(seed=3), wanted().shuffle(seed=4), [DSIR_SMALL])
    assert [r.loss for r in other.results] == pytest.approx([r.loss for r in first.results])
    assert verdict(other, "dsir").verdict == verdict(first, "dsir").verdict


def test_how_far_picks_agree():
    found = compared(
        mixed(), wanted(), {"a": Random(seed=9), "b": Random(seed=9), "c": Random(seed=8)}
    )
    shares = {(r["method"], r["other"]): r["share"] for r in found.overlap.to_pylist()}
    assert shares["a", "b"] == shares["a", "a"] == 1
    assert shares["a", "c"] < 0.5
    assert found.overlap["by_chance"][0].as_py() == pytest.approx(30 / 240)


def test_the_table_is_data_too():
    found = compared(mixed(), wanted(), [DSIR_SMALL])
    frame = found.to_pandas()
    assert list(frame["method"]) == [result.method for result in found.results]
    assert found.to_arrow().num_rows == len(found.results)
    assert found.trials.num_rows == 1 + 6 + 3 + 1
    assert verdict(found, "random").trainings == 6
    assert found.untrained == pytest.approx(np.log(200))


def test_three_wanted_examples_give_wide_intervals_and_say_so():
    found = compared(mixed(), wanted(3), [DSIR_SMALL])
    assert any("Only 1 examples are held out" in note for note in found.notes)
    assert verdict(found, "dsir").verdict.startswith("no interval")
    four = compared(mixed(), wanted(4), [DSIR_SMALL])
    assert np.isfinite(verdict(four, "dsir").half_width)


def test_a_method_that_fails_under_one_seed_is_named_and_the_rest_stands():
    design = designed(mixed(), wanted(), [DSIR_SMALL], proxy=WordCounts(), k=30)
    trials = [
        run_trial(turn, design.bench)
        for turn in design.turns
        if (turn.method, turn.seed) != ("dsir", 1)
    ]
    failed = Failure("dsir", 1, 30, "rows", "the loss is nan")
    found = concluded("c", design, trials, [failed])
    assert verdict(found, "dsir").trainings == 2
    assert "Failed: dsir, seed 1: the loss is nan" in str(found)


def test_fewer_rows_than_asked_for_are_said():
    found = compared(mixed(), wanted(), {"two": Two()})
    assert any("two picked 2 rows where 30 were asked for" in note for note in found.notes)


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"k": 240}, BudgetError, "k=240, but the pool has 240 rows"),
        ({"k": 0}, BudgetError, "at least 1"),
        ({"k": None}, BudgetError, "give k .rows. or tokens"),
        ({"k": 5, "tokens": 5}, BudgetError, "and not both"),
        ({"seeds": 0}, SettingError, "at least 1"),
        ({"held_out": 0}, SettingError, "held_out=0"),
        ({"methods": ["dsri"]}, SettingError, "did you mean 'dsir'"),
        ({"methods": [{"dsir": {"bucket": 3}}]}, SettingError, "no setting 'bucket'"),
        ({"methods": ["dsir", DSIR_SMALL]}, SettingError, "two methods are called 'dsir'"),
        ({"methods": {"three": 3}}, SettingError, "3 is no method"),
        ({"target": Dataset.from_dict({"text": ["one"]})}, DataError, "1 different example"),
        ({"test": wanted()}, DataError, "every row of `test` is in the target"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_trained(given, error, match):
    call = {"target": wanted(), "methods": [DSIR_SMALL], "k": 30} | given
    target, methods = call.pop("target"), call.pop("methods")
    with pytest.raises(error, match=match):
        designed(mixed(), target, methods, proxy=WordCounts(), **call)


def test_untrained_comes_first():
    design = designed(mixed(), wanted(), ["dsir"], proxy=WordCounts(), k=30)
    assert design.turns[0].method == UNTRAINED
