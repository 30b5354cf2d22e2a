"""The simulation, held to what is known of it without one."""

from dataclasses import replace

import numpy as np
import pytest

from tamis.pipelines.cluster import DAY, Troubles, simulate

NONE = Troubles.none()
FAILING = replace(NONE, days_between_failures=100 / DAY, repair_seconds=20)


def within_error(found, expected):
    """Whether the mean of `found` is what was expected, by four standard errors."""
    return abs(np.mean(found) - expected) < 4 * np.std(found, ddof=1) / np.sqrt(len(found))


@pytest.mark.parametrize(
    ("tasks", "nodes", "slots"), [(1, 1, 1), (7, 3, 2), (12, 3, 4), (13, 3, 4)]
)
def test_equal_tasks_take_as_many_turns_as_there_are(tasks, nodes, slots):
    phase = simulate([2.5] * tasks, nodes=nodes, slots=slots, troubles=NONE, seed=0)
    assert phase.seconds == 2.5 * -(-tasks // (nodes * slots))
    assert phase.useful == 2.5 * tasks
    assert (phase.lost, phase.spare, phase.failures, phase.copies) == (0, 0, 0, 0)


@pytest.mark.parametrize("seed", range(10))
def test_a_line_of_tasks_keeps_to_graham_s_bound(seed):
    # Graham 1966: whoever is free takes the next one, and the end is at most this late.
    work = np.random.default_rng(seed).pareto(1.5, 40)
    phase = simulate(work, nodes=3, slots=2, troubles=NONE, seed=seed)
    assert max(work.max(), work.sum() / 6) <= phase.seconds + 1e-9
    assert phase.seconds <= work.sum() / 6 + (1 - 1 / 6) * work.max() + 1e-9


def test_the_last_of_as_many_slots_is_late_by_the_harmonic_number():
    # The greatest of 50 exponential times is 1 + 1/2 + … + 1/50 of their mean.
    ends = [
        simulate([10.0] * 50, nodes=50, slots=1, troubles=NONE, seed=seed,
                 slowness=lambda draw: draw.exponential()).seconds
        for seed in range(400)
    ]  # fmt: skip
    assert within_error(ends, 10 * sum(1 / i for i in range(1, 51)))


def test_a_task_that_begins_again_after_failures_takes_as_long_as_is_known():
    # One slot, failures every m on average, repair r: (m + r) (e^(w/m) - 1).
    runs = [simulate([80.0], nodes=1, slots=1, troubles=FAILING, seed=i) for i in range(3000)]
    assert within_error([run.seconds for run in runs], (100 + 20) * (np.exp(0.8) - 1))
    assert within_error([run.failures for run in runs], np.exp(0.8) - 1)


def test_slow_nodes_take_their_share_of_the_work():
    # Every node slow: all takes twice as long.
    slow = replace(NONE, slow_nodes=1.0, slow_by=2.0)
    assert simulate([3.0] * 8, nodes=2, slots=2, troubles=slow, seed=0).seconds == 12
    some = replace(NONE, slow_nodes=0.3, slow_by=2.0)
    runs = [simulate([1.0] * 800, nodes=20, slots=1, troubles=some, seed=i) for i in range(80)]
    # A slow node does half as much: the time is near 800 / (20 - slow / 2).
    speeds = [800 / run.seconds for run in runs]
    assert abs(np.mean(speeds) - 20 * (1 - 0.3 / 2)) < 0.6


@pytest.mark.parametrize("seed", range(20))
def test_no_second_of_a_slot_is_unaccounted_for(seed):
    troubles = Troubles(
        stragglers=0.2,
        slow_nodes=0.2,
        days_between_failures=300 / DAY,
        repair_seconds=5,
        copy_after=1.5,
    )
    work = np.random.default_rng(seed).uniform(1, 20, 200)
    phase = simulate(work, nodes=5, slots=3, troubles=troubles, seed=seed)
    spent = phase.useful + phase.lost + phase.spare
    assert phase.useful >= work.sum() - 1e-6  # every task ended, none quicker than its work
    assert spent <= 15 * phase.seconds + 1e-6
    if not phase.failures:  # … and all slots are busy until fewer tasks than slots are left
        assert phase.lost == 0


def test_failures_lose_work_that_is_done_again():
    runs = [simulate([5.0] * 100, nodes=4, slots=2, troubles=FAILING, seed=i) for i in range(50)]
    assert all(run.useful == pytest.approx(500) for run in runs)
    assert sum(run.lost for run in runs) > 0
    assert all((run.lost > 0) <= (run.failures > 0) for run in runs)
    assert np.mean([run.seconds for run in runs]) > 100 * 5 / 8


def slow_once():
    """The first attempt of all takes 100 times as long, every other as long as it should."""
    factors = iter([100.0])
    return lambda draw: next(factors, 1.0)


def test_a_copy_overtakes_a_straggler():
    # Tasks of 1 s on two nodes; the first takes 100 s. The copy starts when the other node
    # has done the nine others, is long past 1.5 times the median, and ends a second later.
    copying = replace(NONE, copy_after=1.5)
    alone, copied = (
        simulate([1.0] * 10, nodes=2, slots=1, troubles=troubles, seed=0, slowness=slow_once())
        for troubles in (NONE, copying)
    )
    assert (alone.seconds, alone.copies) == (100.0, 0)
    assert (copied.seconds, copied.copies) == (10.0, 1)
    assert copied.useful == pytest.approx(10.0)
    assert copied.spare == pytest.approx(10.0)  # what the straggler had taken until then


def test_a_copy_waits_until_the_attempt_took_much_longer_than_most():
    # Five tasks end at 1 s; the straggler is copied at 4 s, neither before nor after.
    late = replace(NONE, copy_after=4.0)
    phase = simulate([1.0] * 6, nodes=6, slots=1, troubles=late, seed=0, slowness=slow_once())
    assert phase.seconds == 5.0


def test_a_copy_never_goes_to_the_same_node():
    copying = replace(NONE, copy_after=1.5)
    phase = simulate([1.0] * 2, nodes=1, slots=2, troubles=copying, seed=0, slowness=slow_once())
    assert (phase.seconds, phase.copies) == (100.0, 0)


def test_a_straggler_is_a_draw_of_the_tail():
    troubles = Troubles(stragglers=1.0, tail=2.0, longest=4.0)
    draw = np.random.default_rng(0)
    found = np.array([troubles.slowness(draw) for _ in range(20_000)])
    assert found.min() >= 1
    assert found.max() == 4
    assert np.mean(found > 2) == pytest.approx(1 / 4, abs=0.02)  # Pareto: P(x > 2) = 2^-2
    assert Troubles(stragglers=0.0).slowness(draw) == 1


def test_the_same_seed_gives_the_same_run():
    runs = [simulate([1.0] * 300, nodes=9, slots=2, troubles=Troubles(), seed=s) for s in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]


def test_a_node_that_is_back_has_all_of_its_slots():
    # 400 s of work on four slots: 100 s, and about one failure of 20 s and what it loses.
    runs = [simulate([1.0] * 400, nodes=1, slots=4, troubles=FAILING, seed=i) for i in range(50)]
    assert np.mean([run.seconds for run in runs]) < 150


def test_much_longer_than_most_is_beside_the_median_not_the_longest():
    # Done by 0.5 s: 0.2, 0.2, 0.2 and 0.5 s. Four times the median is 0.8 s, and a copy takes 1 s.
    late = replace(NONE, copy_after=4.0)
    work = [1.0, 0.2, 0.2, 0.2, 0.5]
    phase = simulate(work, nodes=5, slots=1, troubles=late, seed=0, slowness=slow_once())
    assert phase.seconds == pytest.approx(1.8)
