"""A linear classifier that learns example by example, and what each example does for it.

One score a class, by ridge regression on the classes' indicators; the class with the
highest score is the answer. Adding an example changes the inverse of the normal equations
by one outer product (Sherman and Morrison 1950), so a classifier that was trained on j
examples becomes the one trained on j + 1 in O(d²) operations, and is exact at each step:
nothing is trained again for a new set.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["Lesson", "accuracies", "principal", "widen"]

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


class Lesson(NamedTuple):
    """What there is to learn, and what to be right about.

    Attributes
    ----------
    points : float64 array of shape (n, d)
    labels : int64 array of shape (n,)
        Classes from 0.
    queries : float64 array of shape (m, d)
    answers : int64 array of shape (m,)
    classes : int
    ridge : float
        Weight of the penalty on squared coefficients, in examples.
    """

    points: Array
    labels: Labels
    queries: Array
    answers: Labels
    classes: int
    ridge: float = 1.0


def principal(
    points: npt.NDArray[np.floating], queries: npt.NDArray[np.floating], n: int | None
) -> tuple[Array, Array]:
    """Return both in the first `n` principal components of `points`, with a constant in front.

    Parameters
    ----------
    points : float array of shape (p, d)
    queries : float array of shape (q, d)
    n : int or None
        None, or more than d, keeps all.

    Returns
    -------
    points, queries : float64 arrays of shape (p, c), (q, c)
        Centred on the mean of `points`, and scaled by one number so that the mean square of
        their coordinates is 1: the length of vectors does not matter. Column 0 is 1.
    """
    mean = points.mean(axis=0, dtype=np.float64)
    centred = points - mean
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :n]
    inside = centred @ axes
    scale = np.sqrt(np.mean(inside**2)) or 1.0

    def with_constant(vectors: Array) -> Array:
        return np.hstack([np.ones((len(vectors), 1)), vectors / scale])

    return with_constant(inside), with_constant((queries - mean) @ axes)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def accuracies(lesson: Lesson, order: Labels, last: int, whole: float, tolerance: float) -> Array:
    """Return the share of right answers after each example of a sequence.

    Parameters
    ----------
    lesson : Lesson
    order : int64 array of shape (p,)
        Rows to learn from, in this order.
    last : int
        Stop after this many; later entries repeat the last.
    whole, tolerance : float
        Stop too when accuracy is nearer than `tolerance` to `whole`; a `tolerance` of 0
        never does.

    Returns
    -------
    float64 array of shape (p + 1,)
        First that of a guess, 1 / classes.
    """
    n_features, n_classes = lesson.points.shape[1], lesson.classes
    inverse = np.eye(n_features) / lesson.ridge
    coefficients = np.zeros((n_features, n_classes))
    scores = np.zeros((len(lesson.queries), n_classes))
    seen = np.zeros(n_classes, np.bool_)
    right = np.empty(len(order) + 1)
    right[0] = 1 / n_classes
    learnt = 0
    while learnt < min(last, len(order)) and not abs(whole - right[learnt]) < tolerance:
        row = order[learnt]
        gain, error = _learn(lesson.points[row], lesson.labels[row], inverse, coefficients)
        seen[lesson.labels[row]] = True
        learnt += 1
        right[learnt] = _right(lesson.queries, lesson.answers, gain, error, scores, seen)
    right[learnt + 1 :] = right[learnt]
    return right


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def _learn(point: Array, label: int, inverse: Array, coefficients: Array) -> tuple[Array, Array]:
    """Add one example; return how coefficients moved, as the factors of an outer product."""
    n_features, n_classes = coefficients.shape
    error = np.zeros(n_classes)
    error[label] = 1.0
    for i in range(n_features):
        for c in range(n_classes):
            error[c] -= point[i] * coefficients[i, c]
    gain = widen(inverse, point)
    for i in range(n_features):
        for c in range(n_classes):
            coefficients[i, c] += gain[i] * error[c]
    return gain, error


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def widen(inverse: Array, point: Array) -> Array:
    """Make the inverse of A that of A + x xᵀ, in place; return the new one times x."""
    n_features = len(point)
    gain = np.zeros(n_features)
    for i in range(n_features):
        for j in range(n_features):
            gain[i] += inverse[i, j] * point[j]
    scale = 1.0
    for i in range(n_features):
        scale += point[i] * gain[i]
    for i in range(n_features):
        for j in range(n_features):
            inverse[i, j] -= gain[i] * gain[j] / scale
    gain /= scale
    return gain


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def _right(
    queries: Array,
    answers: Labels,
    gain: Array,
    error: Array,
    scores: Array,
    seen: npt.NDArray[np.bool_],
) -> float:
    """Bring the scores up to date; return the share that is highest at the answer.

    Only classes that were seen are answers; of equal scores the first counts.
    """
    right = 0
    for row in range(len(queries)):
        along = 0.0
        for i in range(len(gain)):
            along += queries[row, i] * gain[i]
        best = -1
        for c in range(len(error)):
            scores[row, c] += along * error[c]
            if seen[c] and (best < 0 or scores[row, c] > scores[row, best]):
                best = c
        right += best == answers[row]
    return right / len(queries)
