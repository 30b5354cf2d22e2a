import numpy as np
import pytest

from tamis.kernels.linear import Lesson, principal
from tamis.kernels.logistic import accuracies, fit


def lesson(n=40, m=200, d=5, classes=3, seed=0):
    draw = np.random.default_rng(seed)
    points, queries = draw.normal(size=(n, d)), draw.normal(size=(m, d))
    truth = draw.normal(size=(d, classes))
    labels, answers = (points @ truth).argmax(axis=1), (queries @ truth).argmax(axis=1)
    points, queries = principal(points, queries, None)
    return Lesson(points, labels, queries, answers, classes)


def likelihood(points, labels, weights, ridge):
    scores = points @ weights.T
    picked = scores[np.arange(len(labels)), labels] - np.logaddexp.reduce(scores, axis=1)
    return picked.sum() - ridge / 2 * (weights**2).sum()


def by_newton(points, labels, classes, ridge):
    """The optimum from scratch, with the full curvature."""
    d = points.shape[1]
    weights = np.zeros((classes, d))
    for _ in range(50):
        scores = points @ weights.T
        chance = np.exp(scores - np.logaddexp.reduce(scores, axis=1)[:, None])
        slope = (np.eye(classes)[labels] - chance).T @ points - ridge * weights
        spread = chance[:, :, None] * (np.eye(classes) - chance[:, None, :])
        curvature = np.einsum("nab,ni,nj->aibj", spread, points, points)
        curvature = curvature.reshape(classes * d, classes * d) + ridge * np.eye(classes * d)
        weights += np.linalg.solve(curvature, slope.ravel()).reshape(classes, d)
    assert np.abs(slope).max() < 1e-9
    return weights


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ridge", [0.1, 1.0])
@pytest.mark.parametrize("classes", [2, 4])
def test_from_cold_the_fit_is_the_optimum(seed, ridge, classes):
    points, labels, *_ = lesson(classes=classes, seed=seed)
    inverse = np.linalg.inv(points.T @ points + 2 * ridge * np.eye(points.shape[1]))
    weights = np.zeros((classes, points.shape[1]))
    steps = fit(points, labels, ridge, np.ones(classes, bool), inverse, weights)
    best = by_newton(points, labels, classes, ridge)
    gap = [likelihood(points, labels, some, ridge) for some in (best, weights)]
    assert steps < 100
    assert 0 <= gap[0] - gap[1] < 0.05  # of forty examples together
    assert weights.sum(axis=0) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_each_step_is_the_classifier_trained_from_scratch(seed):
    task, order = lesson(seed=seed), np.random.default_rng(seed).permutation(40)
    right = accuracies(task, order, last=40, whole=0, tolerance=0)
    assert right[0] == 1 / 3
    all_seen = max(np.flatnonzero(task.labels[order] == c)[0] for c in range(3)) + 1
    for size in range(all_seen, 41):
        points, labels = task.points[order[:size]], task.labels[order[:size]]
        answers = (task.queries @ by_newton(points, labels, 3, 1.0).T).argmax(axis=1)
        assert right[size] == pytest.approx((answers == task.answers).mean(), abs=0.02)
    assert right[40] > 0.7


def test_one_class_is_the_answer_to_everything():
    task = lesson()
    alone = np.flatnonzero(task.labels == 2)
    right = accuracies(task, alone, last=40, whole=0, tolerance=0)
    assert right[1:] == pytest.approx((task.answers == 2).mean())


def test_what_was_never_seen_is_no_answer():
    task = lesson()
    two = np.flatnonzero(task.labels != 2)
    fewer = task._replace(classes=2)  # the third class unknown altogether
    right = accuracies(task, two, last=40, whole=0, tolerance=0)
    assert right[1:].tolist() == accuracies(fewer, two, last=40, whole=0, tolerance=0)[1:].tolist()


def test_stops_when_near_to_the_whole():
    task, order = lesson(), np.arange(40)
    right = accuracies(task, order, last=40, whole=0, tolerance=0)
    short = accuracies(task, order, last=40, whole=right[40], tolerance=0.05)
    stop = np.flatnonzero(np.abs(right - right[40]) < 0.05)[0]
    assert 0 < stop < 35
    assert short[: stop + 1].tolist() == right[: stop + 1].tolist()
    assert set(short[stop:].tolist()) == {right[stop]}


def test_stops_after_so_many():
    right = accuracies(lesson(), np.arange(40), last=7, whole=0, tolerance=0)
    assert set(right[7:].tolist()) == {right[7]}


def test_equal_points_can_be_learnt_from():
    points, queries = principal(np.ones((5, 3)), np.ones((2, 3)), 2)
    task = Lesson(points, np.array([0, 1, 1, 1, 1]), queries, np.array([1, 1]), 2)
    assert accuracies(task, np.arange(5), last=5, whole=0, tolerance=0)[-1] == 1
