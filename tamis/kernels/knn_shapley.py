r"""Exact Shapley values of training points for a nearest-neighbour classifier.

The worth of a set S for one query with answer y is v(S) = (1/K) Σ 1[label = y] over the
min(K, |S|) points of S nearest to it. With the points in order of distance, the nearest
first, the values follow from the farthest to the nearest (Jia et al., arXiv 1908.08619,
theorem 1; here also for K > N, where the published first line is wrong):

    s_N = 1[y_N = y] · min(K, N) / (K N)
    s_i = s_{i+1} + (1[y_i = y] − 1[y_{i+1} = y]) / K · min(K, i) / i

The value of a point is its mean over the queries.
"""

from functools import partial

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.distances import euclidean
from tamis.kernels.threads import spread

__all__ = ["knn_shapley"]

Points = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]
Sums = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]

_TOGETHER = 16  # queries a piece of work


def knn_shapley(
    points: Points, labels: Labels, queries: Points, answers: Labels, k: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the Shapley value of each point, and its standard error over the queries.

    Parameters
    ----------
    points : float array of shape (n, d)
    labels : int64 array of shape (n,)
    queries : float array of shape (m, d)
    answers : int64 array of shape (m,)
        Labels of the queries.
    k : int
        Neighbours that vote; more than n are allowed.

    Returns
    -------
    values, errors : float64 arrays of shape (n,)
        The values add up to the classifier's worth on the queries. Distances are Euclidean;
        of equally distant points the one with the lower index counts as nearer. Errors
        are NaN where there is but one query.

    Notes
    -----
    Time O(m n (d + log n)) on all cores, memory 300 bytes a point and core.

    Examples
    --------
    >>> line = np.array([[1.0], [2], [3], [4]])
    >>> labels = np.array([1, 0, 1, 1])
    >>> knn_shapley(line, labels, np.array([[0.0]]), np.array([1]), k=2)[0].tolist()
    [0.25, -0.25, 0.25, 0.25]
    """
    m = len(queries)
    total, squares = np.zeros(len(points)), np.zeros(len(points))
    starts = range(0, m, _TOGETHER)
    for part, part_squares in spread(partial(_part, points, labels, queries, answers, k), starts):
        total += part
        squares += part_squares
    values = total / m
    with np.errstate(invalid="ignore"):
        variance = np.maximum(squares / m - values**2, 0) / np.float64(m - 1)
    return values, np.sqrt(variance)


def _part(
    points: Points, labels: Labels, queries: Points, answers: Labels, k: int, start: int
) -> Sums:
    """Return the sums of values and of their squares over the queries from `start` on."""
    some = slice(start, start + _TOGETHER)
    distance = _distances(points, queries[some])
    # A sort of integers is the quickest: the distance rounded to float32, then the row.
    keys = distance.astype(np.float32).view(np.uint32).astype(np.uint64) << np.uint64(32)
    keys |= np.arange(len(points), dtype=np.uint64)
    keys.sort(axis=1)
    return _sums(keys, distance, labels, answers[some], k)  # type: ignore[no-any-return]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _distances(points: Points, queries: Points) -> npt.NDArray[np.float64]:
    distance = np.empty((len(queries), len(points)))
    for row in range(len(points)):
        for query in range(len(queries)):
            distance[query, row] = euclidean(points[row], queries[query])
    return distance


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _sums(
    keys: npt.NDArray[np.uint64],
    distance: npt.NDArray[np.float64],
    labels: Labels,
    answers: Labels,
    k: int,
) -> Sums:
    n = len(labels)
    total, squares = np.zeros(n), np.zeros(n)
    for query in range(len(answers)):
        order = _order(keys[query], distance[query])
        agrees = labels[order[n - 1]] == answers[query]
        value = min(k, n) / (k * n) if agrees else 0.0
        for rank in range(n, 0, -1):  # of the point at order[rank - 1]
            row = order[rank - 1]
            agreed, agrees = agrees, labels[row] == answers[query]
            value += (int(agrees) - int(agreed)) / k * min(k, rank) / rank
            total[row] += value
            squares[row] += value * value
    return total, squares


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _order(
    keys: npt.NDArray[np.uint64], distance: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Return rows by distance, then by index, from keys that are sorted by the rounded one."""
    n = len(keys)
    order = np.empty(n, np.int64)
    for rank in range(n):
        order[rank] = keys[rank] & np.uint64(0xFFFFFFFF)
    start = 0
    for end in range(1, n + 1):
        if end == n or keys[end] >> np.uint64(32) != keys[start] >> np.uint64(32):
            if end - start > 1:
                alike = order[start:end].copy()
                order[start:end] = alike[np.argsort(distance[alike], kind="mergesort")]
            start = end
    return order
