import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels import diversity
from tamis.kernels.diversity import diverse

GOLDEN = Path(__file__).parents[1] / "golden" / "deita_filter.json"
CASES = json.loads(GOLDEN.read_text())["cases"]


def plainly(points, most, k):
    """The method as the paper words it, one vector at a time."""
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    kept = []
    for row in range(len(unit)):
        if len(kept) < k and all(unit[row] @ unit[other] <= most for other in kept):
            kept.append(row)
    return kept


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_keeps_what_the_authors_code_keeps(case):
    points = np.array(case["embedding"], np.float32)
    order = np.argsort(-np.array(case["expected"]["final_score"]))
    k = case["data_size"] if case["data_size"] > 0 else len(points)
    found = diverse(points[order], case["threshold"], k)
    assert order[found.picks].tolist() == case["expected"]["picks_batch1"]


@pytest.mark.parametrize("block", [1, 7, 64, 4096])
@settings(deadline=None)  # the first call compiles
@given(seed=st.integers(0, 1000), most=st.sampled_from([-0.5, 0.3, 0.8, 0.95]))
def test_blocks_change_nothing(block, seed, most):
    points = np.random.default_rng(seed).normal(size=(60, 3)).astype(np.float32)
    whole, diversity._BLOCK = diversity._BLOCK, block
    try:
        found = diverse(points, most, 20)
    finally:
        diversity._BLOCK = whole
    assert found.picks.tolist() == plainly(points.astype(np.float64), most, 20)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(1, 12))
def test_fewer_are_the_first_of_more(seed, k):
    points = np.random.default_rng(seed).normal(size=(40, 3))
    more = diverse(points, 0.7, k + 1).picks.tolist()
    assert diverse(points, 0.7, k).picks.tolist() == more[:k]


def test_scale_does_not_matter():
    draw = np.random.default_rng(0)
    points = draw.normal(size=(50, 4)).astype(np.float32)
    scaled = points * 2.0 ** draw.integers(-8, 8, size=(50, 1)).astype(np.float32)
    assert diverse(scaled, 0.6, 50).picks.tolist() == diverse(points, 0.6, 50).picks.tolist()


def test_what_is_dropped_is_like_the_nearest_of_the_kept():
    angles = np.deg2rad([0, 30, 20, 31])
    found = diverse(np.stack([np.cos(angles), np.sin(angles)], axis=1), most=0.9, k=4)
    assert found.picks.tolist() == [0, 1]
    assert found.like.tolist() == [-1, -1, 1, 1]
    expected = [np.nan, *np.cos(np.deg2rad([30, 10, 1]))]
    assert found.similarity == pytest.approx(expected, nan_ok=True)


def test_an_equal_cosine_is_kept():
    points = np.array([[1.0, 0], [3, 4], [0, 1]])
    assert diverse(points, 0.6, 3).picks.tolist() == [0, 1]  # cosines 0.6, then 0.8
    assert diverse(points, 0.8, 3).picks.tolist() == [0, 1, 2]


def test_at_one_all_are_kept_and_at_minus_one_the_first():
    points = np.array([[1.0, 2, 3], [2, 4, 6], [1, 0, 0], [1 / 3, 2 / 3, 1]])
    assert len(diverse(points, 1.0, 4).picks) == 4
    assert diverse(points, -1.0, 4).picks.tolist() == [0]


def test_constant_vectors_leave_one():
    found = diverse(np.ones((9, 3)), 0.9, 9)
    assert found.picks.tolist() == [0]
    assert set(found.like[1:].tolist()) == {0}


def test_what_it_did_not_come_to_is_not_measured():
    found = diverse(np.eye(5), 0.9, 2)
    assert found.picks.tolist() == [0, 1]
    assert np.isnan(found.similarity).tolist() == [True, False, True, True, True]
