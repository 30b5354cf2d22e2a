"""Sorting by digits: the loops behind `ordering`, in machine code."""

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["parts_of", "put_into_parts", "sort"]

Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]

_DIGITS, _VALUES = 8, 256
_FEW = 64  # so few are sorted by comparing them
_BITS, _DIGIT = np.uint64(8), np.uint64(_VALUES - 1)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def sort(keys: Keys) -> Rows:
    """Return positions by keys of shape (columns, m), equal ones as they stand.

    Notes
    -----
    A column is looked at only where those before it are equal.
    """
    m = keys.shape[1]
    order, spare = np.arange(m), np.empty(m, np.int64)
    alike = np.array([[0, m]])  # where rows begin and end that are equal in all columns so far
    for column in range(len(keys)):
        values, count = keys[column], 0
        still = np.empty((m // 2 if column + 1 < len(keys) else 0, 2), np.int64)
        for begin, end in alike:
            if end - begin <= _FEW:
                _insert(column, keys, order[begin:end])
                continue
            _sort_by(values, order[begin:end], spare[begin:end])
            count = _note_equals(values, order, begin, end, still, count)
        alike = still[:count]
    return order


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _note_equals(
    values: npt.NDArray[np.uint64], order: Rows, begin: int, end: int, noted: Rows, count: int
) -> int:
    """Write down where two sorted rows or more are equal, if there is room for it; return count."""
    if not len(noted):
        return 0
    for i in range(begin + 1, end + 1):
        if i == end or values[order[i]] != values[order[begin]]:
            if i - begin > 1:
                noted[count] = begin, i
                count += 1
            begin = i
    return count


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _insert(column: int, keys: Keys, order: Rows) -> None:
    """Sort few rows, each put before those that come after it."""
    for i in range(1, len(order)):
        row, place = order[i], i
        while place and _is_after(order[place - 1], row, column, keys):
            order[place] = order[place - 1]
            place -= 1
        order[place] = row


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _is_after(left: int, right: int, column: int, keys: Keys) -> bool:
    for i in range(column, len(keys)):
        if keys[i, left] != keys[i, right]:
            return bool(keys[i, left] > keys[i, right])
    return False


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _sort_by(values: npt.NDArray[np.uint64], order: Rows, spare: Rows) -> None:
    """Sort rows by one column: the last digit first; one that all have alike is passed over."""
    starts = _starts(values, order)
    moved = False
    for digit in range(_DIGITS):
        if starts[digit, -1] < 0:
            continue
        shift, start = np.uint64(digit) * _BITS, starts[digit]
        for row in order:
            value = values[row] >> shift & _DIGIT
            spare[start[value]] = row
            start[value] += 1
        order, spare = spare, order
        moved = not moved
    if moved:
        spare[:] = order


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _starts(values: npt.NDArray[np.uint64], order: Rows) -> Rows:
    """Return where each value of each digit begins, in order; −1 in the last if all are alike."""
    starts = np.zeros((_DIGITS, _VALUES), np.int64)
    for row in order:
        left = values[row]
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
        if most == len(order):
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
