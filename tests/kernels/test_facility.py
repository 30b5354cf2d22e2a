from itertools import combinations

import numpy as np
import pytest

from tamis.kernels import facility
from tamis.kernels.facility import facility_location


def directions(n, seed, d=3):
    points = np.random.default_rng(seed).normal(size=(n, d))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def worth(points, chosen):
    return (points @ points[list(chosen)].T).max(axis=1).sum()


@pytest.mark.parametrize("seed", range(20))
def test_covers_as_much_as_the_theorem_says(seed):
    # Nemhauser et al. 1978 want a worth from 0: 1 + cosine has one, and the same choice.
    points = directions(9, seed)
    picks, _, _ = facility_location(points, 3)
    best = max(worth(points, trio) for trio in combinations(range(9), 3))
    assert len(points) + worth(points, picks) >= (1 - 1 / np.e) * (len(points) + best)
    alone, _, _ = facility_location(points, 1)
    assert worth(points, alone) == pytest.approx(max(worth(points, [i]) for i in range(9)))


@pytest.mark.parametrize("together", [1, 50, 1 << 24])
def test_each_pick_is_the_one_that_adds_most(together, monkeypatch):
    monkeypatch.setattr(facility, "_TOGETHER", together)
    points = directions(40, seed=1, d=8)
    picks, gains, near = facility_location(points, 40)
    assert sorted(picks.tolist()) == list(range(40))
    total = 0.0
    for step in range(40):
        rest = [i for i in range(40) if i not in picks[:step]]
        added = max(worth(points, [*picks[:step], i]) for i in rest) - total
        assert gains[step] == pytest.approx(added, abs=1e-5)
        total = worth(points, picks[: step + 1])
    assert (np.diff(gains[1:]) <= 1e-9).all()
    assert near == pytest.approx(np.ones(40), abs=1e-6)


def test_more_picks_begin_with_the_same_ones():
    points = directions(30, seed=2)
    whole = facility_location(points, 30)[0]
    assert facility_location(points, 7)[0].tolist() == whole[:7].tolist()


def test_equal_points_are_still_different_picks():
    picks, gains, _ = facility_location(np.ones((4, 1), np.float32), 4)
    assert picks.tolist() == [0, 1, 2, 3]
    assert gains.tolist() == [4, 0, 0, 0]
