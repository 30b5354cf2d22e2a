"""A logistic regression that learns example by example: the learner of the Shapley papers.

No formula gives the coefficients, but those for j examples are near those for j + 1: each fit
starts where the last one ended. A step is Newton's with the curvature bounded from above
(Böhning 1992): for any number of classes it is at most ½ XᵀX + λ, one matrix for all, whose
inverse changes by one outer product when an example is added. Such steps never go too far.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.linear import Lesson, widen

__all__ = ["accuracies", "fit"]

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_SETTLED = 1e-3  # log-likelihood that another step would gain
_STEPS = 200


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def accuracies(lesson: Lesson, order: Labels, last: int, whole: float, tolerance: float) -> Array:
    """Return the share of right answers after each example of a sequence.

    As `tamis.kernels.linear.accuracies`, with the same arguments. `Lesson.ridge` is the
    weight λ of the penalty ½ λ |W|² on the coefficients of all classes, against the sum of
    the examples' log-likelihoods.

    Notes
    -----
    Time O(features · classes) for each example learnt before, in each of about five steps: half
    a second for 1,000 examples of 32 features in four classes. A fit ends where another step
    would gain less than 0.001 of log-likelihood; what is left to gain is a few times that.
    """
    points, labels = lesson.points[order], lesson.labels[order]
    inverse = np.eye(points.shape[1]) / (2 * lesson.ridge)
    weights = np.zeros((lesson.classes, points.shape[1]))
    seen = np.zeros(lesson.classes, np.bool_)
    right = np.empty(len(order) + 1)
    right[0] = 1 / lesson.classes
    learnt = 0
    while learnt < min(last, len(order)) and not abs(whole - right[learnt]) < tolerance:
        widen(inverse, points[learnt])
        seen[labels[learnt]] = True
        learnt += 1
        fit(points[:learnt], labels[:learnt], lesson.ridge, seen, inverse, weights)
        right[learnt] = _right(lesson.queries, lesson.answers, weights, seen)
    right[learnt + 1 :] = right[learnt]
    return right


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def fit(
    points: Array, labels: Labels, ridge: float, seen: Flags, inverse: Array, weights: Array
) -> int:
    """Bring the weights to where the penalised likelihood of the examples is highest.

    Parameters
    ----------
    points : float64 array of shape (n, d)
    labels : int64 array of shape (n,)
    ridge : float
    seen : bool array of shape (classes,)
        Which classes there are; the others' weights stay 0.
    inverse : float64 array of shape (d, d)
        Of XᵀX + 2λ.
    weights : float64 array of shape (classes, d)
        Where to start, classes adding up to 0; afterwards where it ended.

    Returns
    -------
    int
        How many steps it took.
    """
    ahead, momentum = weights.copy(), 1.0
    for step in range(_STEPS):
        slope = _slope(points, labels, ridge, seen, ahead)
        move = 2 * _product(slope, inverse)
        moved = ahead + move - weights
        weights += moved
        if (move * slope).sum() < _SETTLED:
            return step + 1
        # Nesterov's momentum; from the start again where it leads down.
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2 if (moved * slope).sum() > 0 else 1.0
        ahead = weights + (momentum - 1) / faster * moved if faster > 1 else weights.copy()
        momentum = faster
    return _STEPS


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def _slope(points: Array, labels: Labels, ridge: float, seen: Flags, weights: Array) -> Array:
    """Return the derivative of the penalised log-likelihood."""
    slope = -ridge * weights
    chances = np.empty(len(weights))
    for row in range(len(points)):
        _scores(points[row], weights, seen, chances)
        highest, total = chances.max(), 0.0
        for c in range(len(chances)):
            chances[c] = np.exp(chances[c] - highest)
            total += chances[c]
        for c in range(len(chances)):
            missing = (labels[row] == c) - chances[c] / total
            for i in range(points.shape[1]):
                slope[c, i] += missing * points[row, i]
    return slope


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def _right(queries: Array, answers: Labels, weights: Array, seen: Flags) -> float:
    """Return the share of queries whose answer, of the classes seen, is the likeliest."""
    right, scores = 0, np.empty(len(weights))
    for row in range(len(queries)):
        _scores(queries[row], weights, seen, scores)
        right += scores.argmax() == answers[row]
    return right / len(queries)


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def _scores(point: Array, weights: Array, seen: Flags, scores: Array) -> None:
    for c in range(len(weights)):
        score = 0.0
        for i in range(len(point)):
            score += weights[c, i] * point[i]
        scores[c] = score if seen[c] else -np.inf


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def _product(slope: Array, inverse: Array) -> Array:
    """Return slope · inverse, the latter symmetric."""
    product = np.empty_like(slope)
    for c in range(len(slope)):
        for i in range(len(inverse)):
            total = 0.0
            for j in range(len(inverse)):
                total += slope[c, j] * inverse[i, j]
            product[c, i] = total
    return product
