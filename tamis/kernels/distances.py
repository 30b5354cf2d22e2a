"""Euclidean distances, exact to float64 whatever the precision of the points.

Blocks of float32 products say which points may be nearest; each of those is then measured
in float64, so rounding decides nothing that float64 can tell apart.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["euclidean", "nearest", "unit"]

Points = npt.NDArray[np.floating]

_BLOCK = 1 << 22  # products held at a time
_UNIT = 2.0**-24  # rounding error of one float32 operation


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def euclidean(one: Points, other: Points) -> float:
    """Return the distance between two points, with differences and sums in float64.

    The order of additions is the processor's own: on another one the last bit may differ.
    Equal points give equal distances to any third.

    >>> euclidean(np.array([0.0, 3.0]), np.array([4.0, 0.0]))
    5.0
    """
    total = 0.0
    for axis in range(one.shape[0]):
        apart = np.float64(one[axis]) - np.float64(other[axis])
        total += apart * apart
    return np.sqrt(total)  # type: ignore[no-any-return]


def nearest(
    points: Points, centres: Points
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return for each point its nearest centre; ties go to the lowest index.

    Parameters
    ----------
    points : float array of shape (n, d)
    centres : float array of shape (m, d)
        At least one.

    Returns
    -------
    which : int64 array of shape (n,)
    distance : float64 array of shape (n,)

    Notes
    -----
    Time O(n m d), as fast as a product of float32 matrices; memory beside the result
    O(m d), and 16 MB.

    Examples
    --------
    >>> which, distance = nearest(np.array([[0.0], [4.5], [9.0]]), np.array([[5.0], [1.0]]))
    >>> which.tolist(), distance.tolist()
    ([1, 0, 0], [1.0, 0.5, 4.0])
    """
    which, distance = np.empty(len(points), np.int64), np.empty(len(points))
    with np.errstate(over="ignore"):
        narrow = centres.astype(np.float32)
    squares = np.einsum("cd,cd->c", centres, centres, dtype=np.float64)
    step = max(1, _BLOCK // len(centres))
    for start in range(0, len(points), step):
        block = points[start : start + step]
        with np.errstate(over="ignore", invalid="ignore"):  # `_measure` sees to it
            products = block.astype(np.float32, copy=False) @ narrow.T
        some = slice(start, start + step)
        _measure(block, centres, products, squares, which[some], distance[some])
    return which, distance


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def unit(points: Points) -> npt.NDArray[np.float32]:
    """Return the points at length 1, rounded once; a row of NaN where the length is 0.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [nan, nan]]
    """
    scaled = np.empty(points.shape, np.float32)
    for row in range(len(points)):
        wide = points[row].astype(np.float64)
        length = np.sqrt((wide**2).sum())
        scaled[row] = wide / (length if length > 0 else np.nan)
    return scaled


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _measure(
    points: Points,
    centres: Points,
    products: npt.NDArray[np.float32],
    squares: npt.NDArray[np.float64],
    which: npt.NDArray[np.int64],
    distance: npt.NDArray[np.float64],
) -> None:
    """Measure each point to every centre that the products do not rule out."""
    longest = np.sqrt(squares.max())
    for i in range(len(points)):
        length = np.sqrt((points[i].astype(np.float64) ** 2).sum())
        doubt = 2 * (points.shape[1] + 4) * _UNIT * length * longest  # of one 2·product
        limit = _limit(squares, products[i], doubt)
        which[i], distance[i] = -1, np.inf
        for j in range(len(centres)):
            if squares[j] - 2 * products[i, j] <= limit or np.isinf(limit):
                away = euclidean(points[i], centres[j])
                if which[i] < 0 or away < distance[i]:
                    which[i], distance[i] = j, away


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _limit(
    squares: npt.NDArray[np.float64], products: npt.NDArray[np.float32], doubt: float
) -> float:
    """Return what a centre must be below to be nearest; infinite where a product overflowed."""
    least = np.inf
    for j in range(len(squares)):
        if not np.isfinite(products[j]):
            return np.inf
        least = min(least, squares[j] - 2 * products[j])
    return least + 2 * doubt
