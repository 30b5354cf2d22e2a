"""Facility location: which points stand for all the others best.

A set S stands for the points to the extent F(S) = Σᵢ maxⱼ∈S sim(i, j), sim the cosine. F is
monotone once something is in S, and submodular: what a point adds only falls as S grows. The
greedy choice is therefore at least 1 − 1/e of the best (Nemhauser et al. 1978), and a gain that
was worked out earlier is a bound on what it is now: most points need not be looked at again
(Minoux 1978).
"""

import numpy as np
import numpy.typing as npt

__all__ = ["facility_location"]

Floats = npt.NDArray[np.float64]

_TOGETHER = 1 << 24  # cosines that are held at once


def facility_location(
    points: npt.NDArray[np.float32], k: int
) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Pick, again and again, the point that adds most to the sum of cosines.

    Parameters
    ----------
    points : float32 array of shape (n, d)
        Of length 1. Ties go to the lowest index.
    k : int
        Number of picks, 1 to n.

    Returns
    -------
    picks : int64 array of shape (k,)
        In the order picked.
    gains : float64 array of shape (k,)
        What each pick added; from the second on they never rise.
    near : float64 array of shape (n,)
        Cosine of each point to the nearest pick.

    Notes
    -----
    Time O(n² d) for the first two picks, then O(n d) for each point that is looked at again;
    memory O(n).

    Examples
    --------
    >>> angles = np.deg2rad([0, 10, 20, 90])
    >>> line = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    >>> picks, gains, near = facility_location(line, 2)
    >>> picks.tolist(), gains.round(2).tolist()
    ([2, 3], [3.27, 0.66])
    """
    picks, gains = np.empty(k, np.int64), np.empty(k)
    sums = points @ points.sum(axis=0, dtype=np.float64)
    picks[0], gains[0] = sums.argmax(), sums.max()
    near = _cosines(points, points[picks[0]])
    bounds = _all_gains(points, near) if k > 1 else np.empty(0)
    for step in range(1, k):
        bounds[picks[step - 1]] = -np.inf
        pick = _best(points, near, bounds)
        picks[step], gains[step] = pick, bounds[pick]
        near = np.maximum(near, _cosines(points, points[pick]))
    return picks, gains, near


def _best(points: npt.NDArray[np.float32], near: Floats, bounds: Floats) -> int:
    """Return the point of the largest gain; bring bounds up to date that stand in its way."""
    fresh = set()
    while (pick := int(bounds.argmax())) not in fresh:
        bounds[pick] = _gain(_cosines(points, points[pick]), near)
        fresh.add(pick)
    return pick


def _all_gains(points: npt.NDArray[np.float32], near: Floats) -> Floats:
    gains = np.empty(len(points))
    step = max(1, _TOGETHER // len(points))
    for start in range(0, len(points), step):
        cosines = points[start : start + step] @ points.T
        gains[start : start + step] = _gain(cosines, near)
    return gains


def _gain(cosines: npt.NDArray[np.floating], near: Floats) -> Floats:
    gain: Floats = np.maximum(cosines - near, 0).sum(axis=-1)
    return gain


def _cosines(points: npt.NDArray[np.float32], point: npt.NDArray[np.float32]) -> Floats:
    return (points @ point).astype(np.float64)
