import json
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels.knn_shapley import knn_shapley

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "knn_shapley.json").read_text())


def worth(chosen, points, labels, query, answer, k):
    """v(S): the share of K votes that are right."""
    nearest = sorted(chosen, key=lambda row: (np.linalg.norm(points[row] - query), row))[:k]
    return sum(labels[row] == answer for row in nearest) / k


def by_enumeration(points, labels, queries, answers, k):
    """Shapley values by their definition, over all subsets."""
    n, values = len(points), np.zeros(len(points))
    for query, answer in zip(queries, answers, strict=True):
        for row in range(n):
            others = [other for other in range(n) if other != row]
            for size in range(n):
                for subset in combinations(others, size):
                    gain = worth((*subset, row), points, labels, query, answer, k) - worth(
                        subset, points, labels, query, answer, k
                    )
                    values[row] += gain / (n * comb(n - 1, size))
    return values / len(queries)


@st.composite
def tasks(draw, rows=6):
    """A few points on a small grid, so that distances tie, with two labels."""
    n, m = draw(st.integers(1, rows)), draw(st.integers(1, 2))
    grid = st.lists(st.integers(-2, 2), min_size=2, max_size=2)
    points = draw(st.lists(grid, min_size=n, max_size=n))
    queries = draw(st.lists(grid, min_size=m, max_size=m))
    bits = st.integers(0, 1)
    labels, answers = (draw(st.lists(bits, min_size=c, max_size=c)) for c in (n, m))
    return (
        np.array(points, float),
        np.array(labels),
        np.array(queries, float),
        np.array(answers),
        draw(st.integers(1, 8)),
    )


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"K={case['K']}")
def test_values_are_those_of_pydvl(case):
    arrays = (np.array(case[name]) for name in ("X_train", "y_train", "X_test", "y_test"))
    values, _ = knn_shapley(*arrays, case["K"])
    assert values == pytest.approx(case["expected"]["values_pydvl"], abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(tasks())
def test_values_are_those_of_the_definition(task):
    # K above the number of points, equal points and ties in distance among them.
    assert knn_shapley(*task)[0] == pytest.approx(by_enumeration(*task), abs=1e-12)


@settings(deadline=None)
@given(tasks(rows=40))
def test_values_add_up_to_the_worth_of_all(task):
    points, labels, queries, answers, k = task
    whole = [
        worth(range(len(points)), points, labels, query, answer, k)
        for query, answer in zip(queries, answers, strict=True)
    ]
    assert knn_shapley(*task)[0].sum() == pytest.approx(np.mean(whole))


@settings(deadline=None)
@given(tasks(rows=40), st.randoms(use_true_random=False))
def test_values_go_with_their_points(task, random):
    points, labels, queries, answers, k = task
    points = points + np.arange(len(points))[:, None] * 1e-5  # ties would go by index
    shuffle = np.array(random.sample(range(len(points)), len(points)))
    first = knn_shapley(points, labels, queries, answers, k)[0]
    assert knn_shapley(points[shuffle], labels[shuffle], queries, answers, k)[0] == pytest.approx(
        first[shuffle]
    )


@settings(deadline=None)
@given(tasks(rows=40))
def test_copies_with_one_label_are_worth_the_same(task):
    points, labels, queries, answers, k = task
    twice, both = np.repeat(points, 2, axis=0), np.repeat(labels, 2)
    values, _ = knn_shapley(twice, both, queries, answers, k)
    assert values[::2].tolist() == values[1::2].tolist()


@given(tasks())
@settings(max_examples=60, deadline=None)
def test_where_everybody_votes_a_wrong_vote_is_a_null_player(task):
    # With K of at least N nobody is crowded out: a vote is worth 1/K where right, else nothing.
    points, labels, _, answers, _ = task
    values, _ = knn_shapley(*task[:4], len(points) + 1)
    right = (labels == answers[:, None]).mean(axis=0)
    assert values == pytest.approx(right / (len(points) + 1), abs=1e-12)


def test_distances_that_only_float64_tells_apart_are_told_apart():
    # In float32 all four are 10,000 away. The nearest of them is the last.
    points = np.array([[1e4 + 3e-5], [1e4 + 2e-5], [1e4 + 1e-5], [1e4]])
    values, _ = knn_shapley(points, np.array([0, 0, 0, 1]), np.zeros((1, 1)), np.array([1]), k=1)
    assert values.tolist() == [0, 0, 0, 1]


def test_the_error_is_that_of_a_mean_over_the_queries():
    draw = np.random.default_rng(0)
    points, queries = draw.normal(size=(30, 2)), draw.normal(size=(50, 2))
    labels, answers = draw.integers(0, 2, 30), draw.integers(0, 2, 50)
    each = [
        knn_shapley(points, labels, queries[i : i + 1], answers[i : i + 1], 3) for i in range(50)
    ]
    values, errors = knn_shapley(points, labels, queries, answers, 3)
    alone = np.array([value for value, _ in each])
    assert values == pytest.approx(alone.mean(axis=0))
    assert errors == pytest.approx(alone.std(axis=0, ddof=1) / np.sqrt(50))
    assert np.isnan(each[0][1]).all()
