"""Vote-k: which points to label, so that they stand for all and are not alike.

Every point votes for its nearest neighbours. A vote is worth ρ^−s, where s of the voter's
neighbours are chosen already: a crowd that has its representatives has little left to say. A
chosen point votes no more (Su et al., arXiv 2209.01975).
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.distances import unit
from tamis.kernels.neighbours import search

__all__ = ["most_voted", "neighbours_of", "precedence", "vote_k", "votes"]

Neighbours = npt.NDArray[np.int64]


def neighbours_of(points: npt.NDArray[np.float32], k: int) -> Neighbours:
    """Return the `k` others most similar to each point, by cosine: int64 of shape (n, k).

    Most similar first, ties by lowest index; k is n − 1 where there are fewer.

    >>> neighbours_of(np.array([[1, 0], [3, 1], [0, 2]], np.float32), 1).tolist()
    [[1], [0], [1]]
    """
    n = len(points)
    k = min(k, n - 1)
    directions = unit(points)
    rows, _ = search(directions, directions, k + 1)
    other = rows != np.arange(n)[:, None]
    other[other.all(axis=1), -1] = False  # equal points had pushed the point itself out
    others: Neighbours = rows[other].reshape(n, k)
    return others


def vote_k(
    neighbours: Neighbours, count: int, rho: float, *, reference: bool = False
) -> npt.NDArray[np.int64]:
    """Choose `count` points, again and again the one with the most votes.

    Parameters
    ----------
    neighbours : int64 array of shape (n, k)
        Whom each point votes for.
    count : int
        1 to n.
    rho : float
        At least 1; 1 counts the voters alone.
    reference : bool
        Break ties as the released code does: after the number of voters goes who is met
        first, when voters are gone through in order, and each one's least similar first.

    Returns
    -------
    int64 array of shape (count,)
        Indices, all different, in the order chosen. Ties go to the point with more voters,
        chosen ones and all, then to the lowest index.

    Notes
    -----
    Time O(n k count).

    Examples
    --------
    >>> line = np.array([[1], [0], [1], [2], [3]])  # each votes for the one before it
    >>> vote_k(line, 3, rho=10.0).tolist()
    [1, 2, 3]
    """
    chosen = np.zeros(len(neighbours), bool)
    picks = np.empty(count, np.int64)
    order = precedence(neighbours, reference=reference)
    for step in range(count):
        picks[step] = most_voted(neighbours, chosen, rho, order[~chosen[order]])
        chosen[picks[step]] = True
    return picks


def precedence(neighbours: Neighbours, *, reference: bool = False) -> npt.NDArray[np.int64]:
    """Return all points in the order in which ties are broken; as `vote_k` says."""
    n = len(neighbours)
    met = np.arange(n)
    if reference:
        first = np.full(n, neighbours.size)
        calls = neighbours[:, ::-1].ravel()
        first[calls[::-1]] = np.arange(neighbours.size)[::-1]
        met = np.argsort(first, kind="stable")
    voters = np.bincount(neighbours.ravel(), minlength=n)
    return met[np.argsort(-voters[met], kind="stable")]


def most_voted(
    neighbours: Neighbours,
    chosen: npt.NDArray[np.bool_],
    rho: float,
    among: npt.NDArray[np.int64],
) -> int:
    """Return the point of `among` with the most votes, the first there of those that tie."""
    return int(among[votes(neighbours, chosen, rho)[among].argmax()])


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def votes(
    neighbours: Neighbours, chosen: npt.NDArray[np.bool_], rho: float
) -> npt.NDArray[np.float64]:
    """Return the votes for each point from those that are not chosen: float64 of shape (n,)."""
    total = np.zeros(len(neighbours))
    for voter in range(len(neighbours)):
        if chosen[voter]:
            continue
        spoken_for = 0
        for other in neighbours[voter]:
            spoken_for += chosen[other]
        for other in neighbours[voter]:
            total[other] += rho**-spoken_for
    return total
