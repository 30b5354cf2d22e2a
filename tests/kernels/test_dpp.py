import json
from pathlib import Path

import numpy as np
import pytest

from tamis.kernels.dpp import greedy_map, relevance_kernel

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "demonstrations.json").read_text())


def unit(points):
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


def test_picks_are_those_of_the_released_code():
    case = GOLDEN["dpp"]
    points, query = unit(np.array(case["embedding"])), unit(np.array(case["query"]))
    kernel = relevance_kernel(points @ query, points @ points.T, case["scale"])
    assert greedy_map(kernel, case["take"]).tolist() == case["expected"]


@pytest.mark.parametrize("seed", range(10))
def test_each_pick_multiplies_the_determinant_the_most(seed):
    points = np.random.default_rng(seed).normal(size=(9, 6))
    kernel = points @ points.T
    picks = greedy_map(kernel, 5).tolist()
    for step, pick in enumerate(picks):
        before = picks[:step]
        grown = {
            i: np.linalg.det(kernel[np.ix_([*before, i], [*before, i])])
            for i in range(9)
            if i not in before
        }
        assert grown[pick] == pytest.approx(max(grown.values()))


def test_the_second_of_equal_quality_is_the_one_that_differs_most():
    kernel = np.array([[4.0, 3, 1, 2], [3, 4, 0, 0], [1, 0, 4, 0], [2, 0, 0, 4]])
    assert greedy_map(kernel, 2).tolist() == [0, 2]


def test_copies_are_never_picked_twice():
    points = np.array([[1.0, 0], [1, 0], [0, 1], [1, 0]])
    assert greedy_map(points @ points.T, 4).tolist() == [0, 2]


def test_no_scale_overflows_and_a_small_one_keeps_the_order_of_relevance():
    relevance, likeness = np.array([0.1, 0.9, 0.5]), np.eye(3)
    assert greedy_map(relevance_kernel(relevance, likeness, 0.02), 3).tolist() == [1, 2, 0]
    assert np.isfinite(relevance_kernel(relevance, likeness, 1e-6)).all()
