"""Which of many sets to keep so that none of them is too like another.

The sets come in order of preference, each with its band keys (see `minhash`); two that
share a key are compared. `leaders` drops a set for being like a *kept* one, so that what
is dropped is never far from what stands for it. `components` passes likeness on from one
to the next, as most tools do: a chain of small changes ends in one group, the ends of which
may share nothing.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.minhash import jaccard

__all__ = ["buckets", "components", "first_of_equals", "leaders", "shared"]

Buckets = npt.NDArray[np.int32]
Bounds = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint32]
Answer = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]

_ALONE = -1


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def first_of_equals(
    keys: npt.NDArray[np.uint64], order: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return for each row the first in `order` of those with its key: a set by open addressing.

    Parameters
    ----------
    keys : uint64 array of shape (n, 2)
        Hashes: their low bits say where to look.
    order : int64 array of shape (n,)
        Every row once.

    Returns
    -------
    int64 array of shape (n,)

    Examples
    --------
    >>> keys = np.array([[3, 1], [5, 1], [3, 1], [3, 2]], np.uint64)
    >>> first_of_equals(keys, np.array([2, 0, 1, 3])).tolist()
    [2, 1, 2, 3]
    """
    size = 4
    while size < 2 * len(order):
        size *= 2
    places = np.full(size, _ALONE, np.int64)
    first = np.empty(len(order), np.int64)
    for row in order:
        place = np.int64(keys[row, 0] & np.uint64(size - 1))
        while places[place] != _ALONE and (
            keys[places[place], 0] != keys[row, 0] or keys[places[place], 1] != keys[row, 1]
        ):
            place = (place + 1) & (size - 1)
        if places[place] == _ALONE:
            places[place] = row
        first[row] = places[place]
    return first


def shared(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Return for each key whether another is equal to it.

    >>> shared(np.array([3, 5, 3], np.uint64)).tolist()
    [True, False, True]
    """
    order = np.argsort(keys)
    equal = keys[order[1:]] == keys[order[:-1]]
    answer = np.zeros(len(keys), bool)
    answer[order[1:]] |= equal
    answer[order[:-1]] |= equal
    return answer


def buckets(keys: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64]) -> Buckets:
    """Return for each set and band the number of the bucket that its key puts it in.

    Parameters
    ----------
    keys : uint64 array of shape (bands, n)
    rows : int64 array of shape (m,)
        Which of the n sets to look at.

    Returns
    -------
    int32 array of shape (m, bands)
        Equal within a band where keys are equal, different between bands; −1 where a key
        occurs once.

    Examples
    --------
    >>> keys = np.array([[3, 5, 3], [7, 7, 7]], np.uint64)
    >>> buckets(keys, np.arange(3)).tolist()
    [[0, 1], [-1, 1], [0, 1]]
    """
    numbered = np.empty((len(rows), len(keys)), np.int32)
    first = 0
    for band, column in enumerate(keys):
        _, numbers, counts = np.unique(column[rows], return_inverse=True, return_counts=True)
        several = counts > 1
        names = np.where(several, first + np.cumsum(several) - 1, _ALONE)
        numbered[:, band] = names[numbers]
        first += int(several.sum())
    return numbered


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def leaders(
    buckets: Buckets, starts: Bounds, stops: Bounds, hashes: Hashes, near: float, crowd: int
) -> Answer:
    """Go through sets, best first, and keep each that is not near one kept before it.

    Parameters
    ----------
    buckets : int32 array of shape (m, bands)
        Only sets that share a number are compared.
    starts, stops : int64 arrays of shape (m,)
        Set i is `hashes[starts[i]:stops[i]]`, ascending.
    hashes : uint32 array
    near : float
        Jaccard similarity from which a set is dropped, above 0.
    crowd : int
        How many kept sets of a bucket, the first ones, later sets are compared with.

    Returns
    -------
    leader : int64 array of shape (m,)
        Of a dropped set the nearest of those kept before it; of a kept one itself.
    similarity : float64 array of shape (m,)
        Jaccard similarity to the nearest of those kept before it that it was compared
        with; 0 where there was none. Ties go to the lowest index.

    Notes
    -----
    At most m · bands · `crowd` comparisons, each as long as two sets. A pair is missed for
    the crowd's sake only where all the buckets that it shares are full.
    """
    m = len(buckets)
    lists = _empty_lists(buckets)
    met = np.full(m, _ALONE, np.int64)
    leader, similarity = np.arange(m), np.zeros(m)
    for i in range(m):
        mine = hashes[starts[i] : stops[i]]
        nearest, most = i, 0.0
        for band in range(buckets.shape[1]):
            j = _first(lists, buckets[i, band])
            while j != _ALONE:
                if met[j] != i:
                    met[j] = i
                    theirs = hashes[starts[j] : stops[j]]
                    if _possible(mine, theirs) >= most:
                        likeness = jaccard(mine, theirs)
                        if likeness > most or (likeness == most > 0 and j < nearest):
                            nearest, most = j, likeness
                j = lists[1][j, band]
        similarity[i] = most
        if most >= near:
            leader[i] = nearest
        else:
            _enter(lists, buckets, i, crowd)
    return leader, similarity


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def components(
    buckets: Buckets, starts: Bounds, stops: Bounds, hashes: Hashes, near: float, crowd: int
) -> Answer:
    """Join sets that are near each other into groups, directly or through others.

    Parameters
    ----------
    buckets, starts, stops, hashes, near, crowd : as for `leaders`

    Returns
    -------
    leader : int64 array of shape (m,)
        The first set of each one's group.
    similarity : float64 array of shape (m,)
        Jaccard similarity to it, which may be far below `near`; 0 for the first itself.
    """
    m = len(buckets)
    lists = _empty_lists(buckets)
    parent = np.arange(m)
    for i in range(m):
        mine = hashes[starts[i] : stops[i]]
        for band in range(buckets.shape[1]):
            j = _first(lists, buckets[i, band])
            while j != _ALONE:
                here, there = _root(parent, i), _root(parent, j)
                if here != there:
                    theirs = hashes[starts[j] : stops[j]]
                    if _possible(mine, theirs) >= near and jaccard(mine, theirs) >= near:
                        parent[max(here, there)] = min(here, there)
                j = lists[1][j, band]
        _enter(lists, buckets, i, crowd)
    leader, similarity = np.arange(m), np.zeros(m)
    for i in range(m):
        first = leader[i] = _root(parent, i)
        if first != i:
            similarity[i] = jaccard(
                hashes[starts[i] : stops[i]], hashes[starts[first] : stops[first]]
            )
    return leader, similarity


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _root(parent: npt.NDArray[np.int64], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _possible(left: Hashes, right: Hashes) -> float:
    """Return the highest Jaccard similarity that sets of these sizes can have."""
    return min(len(left), len(right)) / max(len(left), len(right), 1)


# Members of each bucket, as linked lists: the newest member of a bucket, for each set and
# band the member before it, and the bucket's size.
_Lists = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _empty_lists(buckets: Buckets) -> _Lists:
    count = buckets.max() + 1 if buckets.size else 0
    newest = np.full(count, _ALONE, np.int32)
    return newest, np.full(buckets.shape, _ALONE, np.int32), np.zeros(count, np.int32)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _first(lists: _Lists, bucket: int) -> int:
    return _ALONE if bucket == _ALONE else lists[0][bucket]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _enter(lists: _Lists, buckets: Buckets, i: int, crowd: int) -> None:
    newest, before, size = lists
    for band in range(buckets.shape[1]):
        bucket = buckets[i, band]
        if bucket != _ALONE and size[bucket] < crowd:
            before[i, band] = newest[bucket]
            newest[bucket] = i
            size[bucket] += 1
