"""From scores to a choice. Rows without a score (NaN) are never chosen; ties go by id."""

import numpy as np
import numpy.typing as npt

from tamis.data.scratch import Filling, roomy
from tamis.kernels.draws import gumbels
from tamis.kernels.ordering import blocks, descending, id_keys, ordered

__all__ = ["gumbel_top_k", "shared_top_k", "threshold", "top_k"]


def top_k(
    scores: npt.NDArray[np.float64],
    ids: npt.NDArray[np.void],
    k: int,
    among: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.int64]:
    """Return the positions of the `k` largest scores, best first.

    Parameters
    ----------
    scores : float64 array of shape (n,)
        NaN is never chosen; fewer than `k` positions come back where fewer have a score.
    ids : V16 array of shape (n,)
        Equal scores are ordered by id, lowest first.
    k : int
    among : bool array of shape (n,), optional
        Rows that may be chosen; by default all.

    Notes
    -----
    Time O(n) for large n and small k: only scores that can be chosen are sorted, by parts
    that lie in files where they are many; ids count only where scores are equal. Copies,
    which have one id, stay in the order of the pool.

    Examples
    --------
    >>> ids = np.frombuffer(b"a" * 16 + b"c" * 16 + b"b" * 16 + b"d" * 16, dtype="V16")
    >>> top_k(np.array([1.0, 2, 2, np.nan]), ids, k=4).tolist()
    [2, 1, 0]
    """
    able = ~np.isnan(scores)
    if among is not None:
        able &= among
    count = int(np.count_nonzero(able))
    if 0 < k < count:
        able &= scores >= _nth(scores, able, count, k)

    def keys(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        return np.vstack([descending(scores[rows]), id_keys(ids[rows])])

    return ordered(able, keys, roomy)[:k]


def _nth(scores: npt.NDArray[np.float64], able: npt.NDArray[np.bool_], count: int, n: int) -> float:
    """Return the `n`-th highest score of the `count` rows that are able."""
    filling = Filling((count,), np.float64)
    for rows in blocks(len(scores)):
        filling.add(scores[rows][able[rows]])
    values = filling.whole()
    values.partition(count - n)
    return float(values[count - n])


def threshold(
    scores: npt.NDArray[np.float64], ids: npt.NDArray[np.void], least: float
) -> npt.NDArray[np.int64]:
    """Return the positions of all scores of at least `least`, best first."""
    return top_k(scores, ids, len(scores), among=scores >= least)


def gumbel_top_k(
    log_weights: npt.NDArray[np.float64],
    ids: npt.NDArray[np.void],
    k: int,
    *,
    seed: int,
    temperature: float = 1.0,
) -> npt.NDArray[np.int64]:
    """Draw `k` rows without replacement, each draw in proportion to exp(log-weight).

    The largest `log_weights + temperature · Gumbel` are the draw (Kool et al., arXiv
    1903.06059). The noise belongs to the example's id, so the draw for `k` is the first
    part of the draw for `k` + 1.

    Parameters
    ----------
    log_weights : float64 array of shape (n,)
        NaN is never drawn.
    ids : V16 array of shape (n,)
    k : int
    seed : int
    temperature : float
        1 is the exact draw; 0 takes the `k` largest weights.
    """
    drawn = gumbels(ids, seed, roomy)
    for rows in blocks(len(ids)):
        drawn[rows] = log_weights[rows] + temperature * drawn[rows]
    return top_k(drawn, ids, k)


def shared_top_k(
    ranks: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    ids: npt.NDArray[np.void],
    k: int,
) -> npt.NDArray[np.int64]:
    """Return `k` positions that the groups share in proportion to their weights.

    The seats go round by Webster's method: the next one always to the group that is
    farthest behind its share. A group that runs out leaves its seats to the others, and the
    choice for `k` is the first part of the choice for `k` + 1.

    Parameters
    ----------
    ranks : int64 array of shape (n,)
        Place of each row in its group, 0 for the best; below 0 it is never chosen.
    groups : int64 array of shape (n,)
    weights : float64 array of shape (number of groups,)
        A group of weight 0 gets no seat.
    ids : V16 array of shape (n,)
    k : int

    Examples
    --------
    >>> ids = np.frombuffer(bytes(range(96)), dtype="V16")
    >>> ranks, groups = np.array([0, 1, 2, 3, 0, 1]), np.array([0, 0, 0, 0, 1, 1])
    >>> shared_top_k(ranks, groups, np.array([0.75, 0.25]), ids, k=5).tolist()
    [0, 1, 4, 2, 3]
    """
    first = roomy((len(ids),), np.float64)
    for rows in blocks(len(ids)):
        with np.errstate(divide="ignore"):
            turns = (2 * ranks[rows] + 1) / weights[groups[rows]]
        first[rows] = np.where((ranks[rows] >= 0) & np.isfinite(turns), -turns, np.nan)
    return top_k(first, ids, k)
