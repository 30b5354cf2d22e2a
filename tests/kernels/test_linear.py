import numpy as np
import pytest

from tamis.kernels.linear import Lesson, accuracies, principal


def lesson(n=30, m=200, d=5, classes=3, seed=0):
    draw = np.random.default_rng(seed)
    points, queries = draw.normal(size=(n, d)), draw.normal(size=(m, d))
    truth = draw.normal(size=(d, classes))
    labels, answers = (points @ truth).argmax(axis=1), (queries @ truth).argmax(axis=1)
    points, queries = principal(points, queries, None)
    return Lesson(points, labels, queries, answers, classes)


def trained(lesson, rows):
    """Ridge regression from scratch."""
    points, shown = lesson.points[rows], np.eye(lesson.classes)[lesson.labels[rows]]
    normal = points.T @ points + lesson.ridge * np.eye(points.shape[1])
    scores = lesson.queries @ np.linalg.solve(normal, points.T @ shown)
    scores[:, shown.sum(axis=0) == 0] = -np.inf  # what was never seen is no answer
    return (scores.argmax(axis=1) == lesson.answers).mean()


@pytest.mark.parametrize("seed", range(5))
def test_each_step_is_the_classifier_trained_from_scratch(seed):
    task, order = lesson(seed=seed), np.random.default_rng(seed).permutation(30)
    right = accuracies(task, order, last=30, whole=0, tolerance=0)
    expected = [trained(task, order[:size]) for size in range(1, 31)]
    assert right[0] == 1 / 3
    assert right[1:] == pytest.approx(expected)
    assert right[30] > 0.7


def test_one_class_is_the_answer_to_everything():
    task = lesson()
    alone = np.flatnonzero(task.labels == 2)
    right = accuracies(task, alone, last=30, whole=0, tolerance=0)
    assert right[1:] == pytest.approx((task.answers == 2).mean())


def test_stops_when_near_to_the_whole():
    task, order = lesson(), np.arange(30)
    right = accuracies(task, order, last=30, whole=0, tolerance=0)
    short = accuracies(task, order, last=30, whole=right[30], tolerance=0.05)
    stop = np.flatnonzero(np.abs(right - right[30]) < 0.05)[0]
    assert 0 < stop < 25
    assert short[: stop + 1].tolist() == right[: stop + 1].tolist()
    assert set(short[stop:].tolist()) == {right[stop]}


def test_stops_after_so_many():
    right = accuracies(lesson(), np.arange(30), last=7, whole=0, tolerance=0)
    assert set(right[7:].tolist()) == {right[7]}


def test_components_keep_distances_and_forget_scale_and_place():
    draw = np.random.default_rng(0)
    points, queries = draw.normal(size=(40, 6)).astype(np.float32), draw.normal(size=(9, 6))
    inside, asked = principal(points, queries, None)
    assert inside[:, 0].tolist() == [1] * 40
    between = np.linalg.norm(points[:, None] - queries[None], axis=2)
    after = np.linalg.norm(inside[:, None] - asked[None], axis=2)
    assert np.ptp(after / between) < 1e-6
    moved, _ = principal(points * 8 + 3, queries, None)
    assert np.abs(moved) == pytest.approx(np.abs(inside), abs=1e-5)


def test_the_first_components_hold_most_of_the_variance():
    wide = np.random.default_rng(0).normal(size=(100, 4)) * [1, 10, 1, 3]
    inside, _ = principal(wide, wide[:1], 2)
    assert inside.shape == (100, 3)
    assert np.abs(np.corrcoef(inside[:, 1], wide[:, 1])[0, 1]) > 0.99


def test_equal_points_can_be_learnt_from():
    points, queries = principal(np.ones((5, 3)), np.ones((2, 3)), 2)
    task = Lesson(points, np.array([0, 1, 1, 1, 1]), queries, np.array([1, 1]), 2)
    assert accuracies(task, np.arange(5), last=5, whole=0, tolerance=0)[-1] == 1
