"""Rows in order of their keys, one part at a time: what is sorted need not fit in memory.

A sample of the rows gives the bounds of the parts (a sample sort: Frazer and McKellar 1970);
rows are written to their parts, and each part is then small enough to be sorted where it is
read. Large arrays are made by `new`, a function like `np.zeros`: who wants them in files
gives one that lays them there.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.kernels.threads import spread

__all__ = [
    "KeysOf",
    "New",
    "blocks",
    "descending",
    "id_keys",
    "order_of",
    "ordered",
    "parts",
    "runs",
]

New = Callable[[tuple[int, ...], npt.DTypeLike], npt.NDArray[Any]]
KeysOf = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint64]]
_Rows = npt.NDArray[np.int64]

_ROWS = 2**17
_SAMPLED = 32  # rows a part
_FEW = 2**14  # so few are sorted before what sorts more is loaded


def ordered(
    wanted: npt.NDArray[np.bool_], keys: KeysOf, new: New = np.zeros
) -> npt.NDArray[np.int64]:
    """Return the positions of the rows that are wanted, by their keys, equal ones as they stand.

    Parameters
    ----------
    wanted : bool array of shape (n,)
    keys : function of int64 positions of shape (m,)
        Their keys: uint64 of shape (columns, m), the most significant first.
    new : function of shape and dtype
        Makes the arrays that are as long as the answer.

    Examples
    --------
    >>> column = np.array([5, 3, 9, 3], np.uint64)
    >>> ordered(np.array([True, True, False, True]), lambda rows: column[None, rows]).tolist()
    [1, 3, 0]
    """
    order = new((int(np.count_nonzero(wanted)),), np.int64)
    start = 0
    for rows in spread(lambda part: part[0][order_of(part[1])], parts(wanted, keys, new)):
        order[start : start + len(rows)] = rows
        start += len(rows)
    return order


def parts(
    wanted: npt.NDArray[np.bool_], keys: KeysOf, new: New = np.zeros
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]]:
    """Yield the wanted rows in parts, of which each one's keys are above those of the last.

    Rows of one key are in one part, and within it in the order of their positions.

    Parameters
    ----------
    wanted, keys, new : as for `ordered`

    Yields
    ------
    rows : int64 array of shape (m,)
    values : uint64 array of shape (columns, m)
        Their keys.

    Notes
    -----
    A part has about 2**17 rows, unless more have one key. The keys of all are computed twice,
    and written and read once: 8 bytes a column and row, and 8 more.
    """
    count = int(np.count_nonzero(wanted))
    if count <= _ROWS:
        rows = np.flatnonzero(wanted)
        yield rows, keys(rows)
        return
    from tamis.kernels import radix  # numba, which few rows do not want

    bounds = _bounds(wanted, keys, count)

    def placed(rows: _Rows) -> tuple[_Rows, npt.NDArray[np.uint64], _Rows]:
        values = np.ascontiguousarray(keys(rows))
        return rows, values, radix.parts_of(values, bounds)

    sizes = np.zeros(bounds.shape[1] + 1, np.int64)
    for *_, part in spread(placed, _wanted(wanted)):
        sizes += np.bincount(part, minlength=len(sizes))
    ends = np.cumsum(sizes)
    cursors = ends - sizes
    written = new((count, len(bounds) + 1), np.uint64)
    for some in spread(placed, _wanted(wanted)):
        radix.put_into_parts(*some, cursors, written)
    for end, size in zip(ends.tolist(), sizes.tolist(), strict=True):
        if not size:  # rows of one key have more than one bound
            continue
        columns = np.ascontiguousarray(written[end - size : end].T)
        yield columns[-1].view(np.int64), columns[:-1]


def order_of(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return positions by keys of shape (columns, m), equal ones as they stand; all in memory.

    Examples
    --------
    >>> order_of(np.array([[1, 0, 1, 1], [7, 8, 7, 2]], np.uint64)).tolist()
    [1, 3, 0, 2]
    """
    if keys.shape[1] < _FEW:
        return np.asarray(np.lexsort(keys[::-1]), np.int64)
    from tamis.kernels import radix

    return radix.sort(np.ascontiguousarray(keys))  # type: ignore[no-any-return]


def runs(
    keys: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where each run of equal keys starts, and its length; keys in order.

    >>> starts, lengths = runs(np.array([[1, 1, 2], [7, 7, 7]], np.uint64))
    >>> starts.tolist(), lengths.tolist()
    ([0, 2], [2, 1])
    """
    new = np.ones(keys.shape[1], bool)
    new[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    starts = np.flatnonzero(new)
    return starts, np.diff(np.append(starts, len(new)))


def descending(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    """Return keys that order numbers from the largest to the smallest; NaN is none.

    >>> numbers = np.array([0.5, -np.inf, 2.0, -0.0, 0.0])
    >>> order_of(descending(numbers)[None]).tolist()
    [2, 0, 3, 4, 1]
    """
    bits = (0.0 - numbers.astype(np.float64)).view(np.uint64)
    sign = np.uint64(1 << 63)
    return np.where(bits & sign, ~bits, bits | sign)


def id_keys(ids: npt.NDArray[np.void]) -> npt.NDArray[np.uint64]:
    """Return the keys that order ids as their bytes do: uint64 of shape (2, n)."""
    return np.ascontiguousarray(ids).view(">u8").reshape(-1, 2).T.astype(np.uint64)


def blocks(n: int) -> Iterator[slice]:
    """Yield the slices in which `n` rows are gone through, where not all are held at once."""
    for start in range(0, n, _ROWS):
        yield slice(start, min(start + _ROWS, n))


def _wanted(wanted: npt.NDArray[np.bool_]) -> Iterator[npt.NDArray[np.int64]]:
    for rows in blocks(len(wanted)):
        yield rows.start + np.flatnonzero(wanted[rows])


def _bounds(wanted: npt.NDArray[np.bool_], keys: KeysOf, count: int) -> npt.NDArray[np.uint64]:
    """Return the first key of every part but the first, from a sample: (columns, parts − 1)."""
    wide = -(-count // _ROWS)
    step = max(1, count // (wide * _SAMPLED))
    sampled, seen = [], 0
    for rows in _wanted(wanted):
        sampled.append(keys(rows[-seen % step :: step]))
        seen += len(rows)
    sample = np.concatenate(sampled, axis=1)
    sample = sample[:, order_of(sample)]
    return np.ascontiguousarray(sample[:, np.arange(1, wide) * sample.shape[1] // wide])
