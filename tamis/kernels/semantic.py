"""Which of many vectors to keep so that none of them points where another does.

As SemDeDup (Abbas et al., arXiv 2303.09540), vectors are compared within their clusters
alone. Its code goes through a cluster from the edge to the centre, and drops a vector for
being like *any* before it, dropped ones too: of a chain a ~ b ~ c only a is left, which c
may not be like. By default a vector is dropped here for being like a *kept* one, and the
order is the caller's.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.distances import unit

__all__ = ["edge_first", "semantic_leaders"]

Points = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

_BLOCK = 256  # vectors compared at a time
_ROUNDING = 1e-9  # cosines that differ by less are equal


def semantic_leaders(
    points: Points, cluster: Rows, least: float, *, dropped_too: bool = False
) -> tuple[Rows, npt.NDArray[np.float64]]:
    """Go through vectors, best first, and keep each that is not like one kept before it.

    Parameters
    ----------
    points : float32 array of shape (n, d)
        In the order of preference; of any length above 0.
    cluster : int64 array of shape (n,)
        Only vectors of one cluster are compared.
    least : float
        Cosine from which a vector is dropped.
    dropped_too : bool
        Compare with all vectors before it, not only with those that were kept.

    Returns
    -------
    leader : int64 array of shape (n,)
        Of a dropped vector the nearest of those it was compared with; of a kept one itself.
    similarity : float64 array of shape (n,)
        Cosine to the nearest of those it was compared with; NaN where there was none.

    Notes
    -----
    Time O(d) for each pair of a cluster, as fast as a product of float32 matrices; the
    cosines that may decide are computed again in float64.

    Examples
    --------
    >>> angles = np.array([0.0, 0.1, 0.2])
    >>> arc = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    >>> semantic_leaders(arc, np.zeros(3, np.int64), least=0.99)[0].tolist()
    [0, 0, 2]
    >>> semantic_leaders(arc, np.zeros(3, np.int64), least=0.99, dropped_too=True)[0].tolist()
    [0, 0, 1]
    """
    leader, similarity = np.arange(len(points)), np.full(len(points), np.nan)
    for rows in _members(cluster):
        directions = unit(points[rows])
        leads, alike = np.arange(len(rows)), np.full(len(rows), np.nan)
        for start in range(0, len(rows), _BLOCK):
            block = directions[start : start + _BLOCK]
            cosines = block @ directions[: start + len(block)].T
            _lead(directions, cosines, start, least, dropped_too, leads, alike)
        leader[rows], similarity[rows] = rows[leads], alike
    return leader, similarity


def edge_first(points: Points, cluster: Rows) -> Rows:
    """Return the order in which SemDeDup goes through vectors: the least typical first.

    Clusters come one after the other; within each, by ascending cosine to the mean of its
    directions, ties by lowest index.
    """
    order = [np.empty(0, np.int64)]
    for rows in _members(cluster):
        directions = unit(points[rows]).astype(np.float64)
        order.append(rows[np.argsort(directions @ directions.mean(axis=0), kind="stable")])
    return np.concatenate(order)


def _members(cluster: Rows) -> Iterator[Rows]:
    """Yield the rows of each cluster, ascending."""
    order = np.argsort(cluster, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _lead(
    directions: Points,
    cosines: Points,
    start: int,
    least: float,
    dropped_too: bool,
    leads: Rows,
    alike: npt.NDArray[np.float64],
) -> None:
    """Find the leaders of a block of rows, from their cosines to all rows up to its end."""
    doubt = (directions.shape[1] + 4) * 2.0**-23
    for place in range(len(cosines)):
        row = start + place
        nearest, most = -1, -np.inf
        for other in range(row):
            if (dropped_too or leads[other] == other) and cosines[place, other] >= most - doubt:
                cosine = _cosine(directions[row], directions[other])
                if cosine > most + _ROUNDING:
                    nearest, most = other, cosine
        if nearest >= 0:
            alike[row] = min(most, 1.0)
            if most >= least - _ROUNDING:
                leads[row] = nearest


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def _cosine(one: Points, other: Points) -> float:
    dot, length, other_length = 0.0, 0.0, 0.0
    for axis in range(len(one)):
        a, b = np.float64(one[axis]), np.float64(other[axis])
        dot += a * b
        length += a * a
        other_length += b * b
    return dot / np.sqrt(length * other_length)  # type: ignore[no-any-return]
