"""Which of many sets to keep so that none of them is too like another.

The sets come in order of preference, each with its band keys (see `minhash`); two that
share a key are compared. `leaders` drops a set for being like a *kept* one, so that what
is dropped is never far from what stands for it. `components` passes likeness on from one
to the next, as most tools do: a chain of small changes ends in one group, the ends of which
may share nothing.
"""

from functools import partial

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.minhash import jaccard
from tamis.kernels.ordering import New, blocks, order_of, parts, runs
from tamis.kernels.repeats import met
from tamis.kernels.threads import spread

__all__ = ["buckets", "components", "first_of_equals", "leaders", "shared"]

Buckets = npt.NDArray[np.int32]
Bounds = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.int64]
Answer = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]

# Members of each bucket, as linked lists: the newest member of a bucket, for each set and
# band the member before it, and the bucket's size.
_Lists = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]

_ALONE = -1


def first_of_equals(
    keys: npt.NDArray[np.uint64], order: npt.NDArray[np.int64], new: New = np.zeros
) -> npt.NDArray[np.int64]:
    """Return for each row the first in `order` of those with its key.

    Parameters
    ----------
    keys : uint64 array of shape (n, 2)
    order : int64 array of shape (n,)
        Every row once.
    new : function of shape and dtype
        Makes the arrays that are as long as the answer.

    Returns
    -------
    int64 array of shape (n,)

    Examples
    --------
    >>> keys = np.array([[3, 1], [5, 1], [3, 1], [3, 2]], np.uint64)
    >>> first_of_equals(keys, np.array([2, 0, 1, 3])).tolist()
    [2, 1, 2, 3]
    """
    n = len(order)
    first, rank = new((n,), np.int64), new((n,), np.uint64)
    for places in blocks(n):
        first[places] = rows = np.arange(places.start, places.stop)
        rank[order[places]] = rows

    def look_through(part: tuple[Rows, npt.NDArray[np.uint64]]) -> None:
        rows, values = part
        within = order_of(np.vstack([values, rank[rows]]))
        starts, sizes = runs(values[:, within])
        first[rows[within]] = np.repeat(rows[within[starts]], sizes)

    several = met(keys[:, 0], np.ones(n, bool))
    for _ in spread(look_through, parts(several, lambda rows: keys[rows].T, new)):
        pass
    return first


def shared(
    keys: npt.NDArray[np.uint64], wanted: npt.NDArray[np.bool_], new: New = np.zeros
) -> npt.NDArray[np.bool_]:
    """Return for each key whether it is wanted and another that is wanted is equal to it.

    >>> shared(np.array([3, 5, 3, 5], np.uint64), np.array([True, True, True, False])).tolist()
    [True, False, True, False]
    """
    answer = np.zeros(len(keys), bool)
    may_be = met(np.asarray(keys), wanted)
    for rows, values in parts(may_be, partial(_one_column, keys), new):
        order = order_of(values)
        equal = values[0, order[1:]] == values[0, order[:-1]]
        answer[rows[order[1:][equal]]] = True
        answer[rows[order[:-1][equal]]] = True
    return answer


def buckets(
    keys: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64], new: New = np.zeros
) -> Buckets:
    """Return for each set and band the number of the bucket that its key puts it in.

    Parameters
    ----------
    keys : uint64 array of shape (bands, n)
    rows : int64 array of shape (m,)
        Which of the n sets to look at, each once.
    new : function of shape and dtype
        Makes the arrays that are as long as the answer.

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
    numbered = new((len(rows), len(keys)), np.int32)
    wanted = np.zeros(keys.shape[1], bool)
    wanted[rows] = True
    place = new((len(wanted),), np.int64)
    place[rows] = np.arange(len(rows))

    def number(band: int) -> int:
        """Return how many buckets a band has, numbered from 0."""
        first = 0
        for some, values in parts(wanted, partial(_one_column, keys[band]), new):
            order = order_of(values)
            _, sizes = runs(values[:, order])
            several = sizes > 1
            names = np.where(several, first + np.cumsum(several) - 1, _ALONE)
            numbered[place[some[order]], band] = np.repeat(names, sizes)
            first += int(several.sum())
        return first

    first = 0
    for band, count in enumerate(spread(number, range(len(keys)))):
        numbered[:, band] += first * (numbered[:, band] != _ALONE)
        first += count
    return numbered


def _one_column(
    keys: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint64]:
    return keys[None, rows]


def leaders(
    buckets: Buckets,
    starts: Bounds,
    stops: Bounds,
    hashes: Hashes,
    near: float,
    crowd: int,
    new: New = np.zeros,
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
    new : function of shape and dtype
        Makes the arrays that are as long as the answer.

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
    answer, lists, met = _room(buckets, new)
    _lead(buckets, starts, stops, hashes, (near, crowd), answer, lists, met)
    return answer


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _lead(
    buckets: Buckets,
    starts: Bounds,
    stops: Bounds,
    hashes: Hashes,
    limits: tuple[float, int],
    answer: Answer,
    lists: _Lists,
    met: npt.NDArray[np.int64],
) -> None:
    leader, similarity = answer
    near, crowd = limits
    for i in range(len(buckets)):
        leader[i] = i
        mine = hashes[starts[i] : stops[i]]
        nearest, most = i, 0.0
        for band in range(buckets.shape[1]):
            j = _first(lists, buckets[i, band])
            while j != _ALONE:
                if met[j] != i + 1:
                    met[j] = i + 1
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


def components(
    buckets: Buckets,
    starts: Bounds,
    stops: Bounds,
    hashes: Hashes,
    near: float,
    crowd: int,
    new: New = np.zeros,
) -> Answer:
    """Join sets that are near each other into groups, directly or through others.

    Parameters
    ----------
    buckets, starts, stops, hashes, near, crowd, new : as for `leaders`

    Returns
    -------
    leader : int64 array of shape (m,)
        The first set of each one's group.
    similarity : float64 array of shape (m,)
        Jaccard similarity to it, which may be far below `near`; 0 for the first itself.
    """
    answer, lists, parent = _room(buckets, new)
    _join(buckets, starts, stops, hashes, (near, crowd), answer, lists, parent)
    return answer


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _join(
    buckets: Buckets,
    starts: Bounds,
    stops: Bounds,
    hashes: Hashes,
    limits: tuple[float, int],
    answer: Answer,
    lists: _Lists,
    parent: npt.NDArray[np.int64],
) -> None:
    leader, similarity = answer
    near, crowd = limits
    m = len(buckets)
    for i in range(m):
        parent[i] = i
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
    for i in range(m):
        first = leader[i] = _root(parent, i)
        if first != i:
            similarity[i] = jaccard(
                hashes[starts[i] : stops[i]], hashes[starts[first] : stops[first]]
            )


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


def _room(buckets: Buckets, new: New) -> tuple[Answer, _Lists, npt.NDArray[np.int64]]:
    """Make what is as long as the sets: the answer, empty lists, and a number of each set."""
    m, count = len(buckets), int(buckets.max(initial=_ALONE)) + 1
    lists = (new((count,), np.int32), new(buckets.shape, np.int32), new((count,), np.int32))
    lists[0][:] = _ALONE
    answer = new((m,), np.int64), new((m,), np.float64)
    return answer, lists, new((m,), np.int64)


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
