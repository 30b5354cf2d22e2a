"""Sorting by digits: the loops behind `ordering`, in machine code."""

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["parts_of", "put_into_parts", "sort"]

Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]

_DIGITS, _VALUES = 8, 256
_BITS, _DIGIT = np.uint64(8), np.uint64(_VALUES - 1)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def sort(keys: Keys) -> Rows:
    """Return positions by keys of shape (columns, m), equal ones as they stand.

    Notes
    -----
    The last digit of the last column first; a digit that all have alike is passed over.
    """
    m = keys.shape[1]
    order, sorted_ = np.arange(m), np.empty(m, np.int64)
    for column in range(len(keys) - 1, -1, -1):
        values = keys[column]
        starts = _starts(values)
        for digit in range(_DIGITS):
            if starts[digit, -1] < 0:
                continue
            shift, start = np.uint64(digit) * _BITS, starts[digit]
            for i in range(m):
                row = order[i]
                value = values[row] >> shift & _DIGIT
                sorted_[start[value]] = row
                start[value] += 1
            order, sorted_ = sorted_, order
    return order


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _starts(values: npt.NDArray[np.uint64]) -> Rows:
    """Return where each value of each digit begins, in order; −1 in the last if all are alike."""
    starts = np.zeros((_DIGITS, _VALUES), np.int64)
    for value in values:
        left = value
        for digit in range(_DIGITS):
            starts[digit, left & _DIGIT] += 1
            left >>= _BITS
    for digit in range(_DIGITS):
        start, most = 0, 0
        for value in range(_VALUES):
            count = starts[digit, value]
            most = max(most, count)
            starts[digit, value] = start
            start += count
        if most == len(values):
            starts[digit, -1] = -1
    return starts


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def parts_of(keys: Keys, bounds: Keys) -> Rows:
    """Return how many bounds, of shape (columns, b) and in order, are not above each key."""
    found = np.empty(keys.shape[1], np.int64)
    for i in range(keys.shape[1]):
        low, high = 0, bounds.shape[1]
        while low < high:
            middle = (low + high) // 2
            if _is_above(bounds, middle, keys, i):
                high = middle
            else:
                low = middle + 1
        found[i] = low
    return found


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _is_above(left: Keys, i: int, right: Keys, j: int) -> bool:
    for column in range(len(left)):
        if left[column, i] != right[column, j]:
            return bool(left[column, i] > right[column, j])
    return False


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def put_into_parts(rows: Rows, keys: Keys, part: Rows, cursors: Rows, written: Keys) -> None:
    """Write each row's keys and position where its part's rows have come to.

    `written` has a line a row: its keys, and its position last. `cursors` move on.
    """
    for i in range(len(rows)):
        line = written[cursors[part[i]]]
        for column in range(len(keys)):
            line[column] = keys[column, i]
        line[-1] = np.uint64(rows[i])
        cursors[part[i]] += 1
