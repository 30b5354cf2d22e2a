"""Which of many keys may occur more than once, told by bits, so that few have to be sorted."""

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["met"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ONE, _6, _32, _63 = np.uint64(1), np.uint64(6), np.uint64(32), np.uint64(63)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def met(keys: npt.NDArray[np.uint64], wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Leave out of `wanted` most keys that occur once; all that occur again stay.

    Parameters
    ----------
    keys : uint64 array of shape (n,)
    wanted : bool array of shape (n,)
        Keys that are not are not looked at.

    Notes
    -----
    A key has one of 16 bits for each that is wanted, or two keys have the same one: of those
    that occur once, one in 16 stays. Four to eight bytes of memory for each that is wanted.

    Examples
    --------
    >>> met(np.array([3, 5, 3, 5], np.uint64), np.array([True, True, True, False])).tolist()
    [True, False, True, False]
    """
    size = 64
    while size < 16 * np.count_nonzero(wanted):
        size *= 2
    once, again = np.zeros(size // 64, np.uint64), np.zeros(size // 64, np.uint64)
    for i in range(len(keys)):
        if wanted[i]:
            place = _spread(keys[i]) & np.uint64(size - 1)
            bit = _ONE << (place & _63)
            again[place >> _6] |= once[place >> _6] & bit
            once[place >> _6] |= bit
    several = np.zeros(len(keys), np.bool_)
    for i in range(len(keys)):
        if wanted[i]:
            place = _spread(keys[i]) & np.uint64(size - 1)
            several[i] = again[place >> _6] >> (place & _63) & _ONE
    return several


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _spread(key: np.uint64) -> np.uint64:
    product = key * _GOLDEN
    return product ^ product >> _32
