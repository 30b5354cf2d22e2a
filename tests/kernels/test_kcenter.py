import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tamis.kernels.kcenter import cover, k_center

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "kcenter.json").read_text())["cases"]
GRIDS = arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(1, 3)),
               elements=st.integers(-3, 3).map(float))  # fmt: skip


def plain(points, k, first):
    """The algorithm as it is written down: every point against every pick."""
    picks, gap = np.empty(k, np.int64), np.full(len(points), np.inf)
    free, pick = np.ones(len(points), bool), first
    for step in range(k):
        picks[step], free[pick] = pick, False
        away = np.linalg.norm(points.astype(float) - points[pick].astype(float), axis=1)
        np.minimum(gap, away, out=gap, where=free)
        pick = int(np.where(free, gap, -np.inf).argmax())
    return picks, gap


@pytest.mark.parametrize("case", GOLDEN, ids=range(len(GOLDEN)))
def test_picks_what_the_authors_code_picks(case):
    expected = case["expected"]
    picks, gap = k_center(
        np.array(case["X"]),
        k=len(expected["selected_in_order"]),
        first=case["start"] or case["first_centre_is"],
    )
    assert picks.tolist() == expected["selected_in_order"]
    radii = expected.get("covering_radius_after_each", [])[:-1]
    assert gap[picks[max(1, len(case["start"])) :]].tolist()[: len(radii)] == pytest.approx(radii)


@settings(deadline=None)  # the first call compiles
@given(GRIDS, st.data())
def test_picks_what_the_plain_algorithm_picks_even_among_ties(points, data):
    k = data.draw(st.integers(1, len(points)))
    first = data.draw(st.integers(0, len(points) - 1))
    picks, gap = k_center(points, k, first)
    expected_picks, expected_gap = plain(points, k, first)
    assert picks.tolist() == expected_picks.tolist()
    assert gap.tolist() == pytest.approx(expected_gap.tolist())


@pytest.mark.parametrize("dimensions", [2, 64])
def test_picks_what_the_plain_algorithm_picks_of_many(dimensions):
    points = np.random.default_rng(0).normal(size=(3000, dimensions)).astype(np.float32)
    picks, gap = k_center(points, 300, first=17)
    expected_picks, expected_gap = plain(points, 300, 17)
    assert picks.tolist() == expected_picks.tolist()
    assert gap == pytest.approx(expected_gap, rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_covers_within_twice_the_optimum(seed):
    # Gonzalez 1985, against every choice of three points out of nine.
    points = np.random.default_rng(seed).normal(size=(9, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    radius = {trio: distance[:, trio].min(axis=1).max() for trio in combinations(range(9), 3)}

    picks, _ = k_center(points, k=3, first=0)
    assert radius[tuple(sorted(picks.tolist()))] <= 2 * min(radius.values()) + 1e-9


def test_equal_points_are_still_different_picks():
    # MoDS's own code stops here with an AssertionError that says nothing.
    picks, gap = k_center(np.ones((4, 2)), k=4, first=2)
    assert picks.tolist() == [2, 0, 1, 3]
    assert gap.tolist() == [0, 0, np.inf, 0]


def test_more_picks_begin_with_the_same_ones():
    points = np.random.default_rng(1).normal(size=(200, 5))
    many, _ = k_center(points, 150, first=3)
    assert k_center(points, 40, first=3)[0].tolist() == many[:40].tolist()


def test_a_far_offset_hides_no_difference():
    # Float32 products of these vectors are off by thousands; the distances are 1 to 11.
    line = np.array([[0.0], [1], [4], [10], [11]]) + 1e5
    picks, gap = k_center(np.hstack([line, np.full((5, 3), 1e5)]), k=3, first=0)
    assert picks.tolist() == [0, 4, 2]
    assert gap.tolist() == [np.inf, 1, 4, 1, 11]


def test_says_which_pick_covers_a_point():
    # 3 is nearer to 4 than to 0; 7.5 is as far from 4 as from 11, and 11 was picked first.
    found = cover(np.array([[0.0], [3], [4], [7.5], [11]]), k=3, first=[0, 4, 2])
    assert found.by.tolist() == [0, 2, 2, 4, 4]
    assert found.gap.tolist() == [np.inf, 1, 4, 3.5, 11]
