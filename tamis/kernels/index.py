"""An index of 128-bit ids, in machine code: sorted rows merged, and bits for what is not there."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["has", "mark", "merge"]

Halves = npt.NDArray[np.uint64]

_BIT, _PLACE = np.uint64(7), np.uint64(3)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def merge(
    keys: Halves,
    values: npt.NDArray[Any],
    later_keys: Halves,
    later_values: npt.NDArray[Any],
    merged_keys: Halves,
    merged_values: npt.NDArray[Any],
) -> None:
    """Merge rows that are sorted by key with later ones; of equal keys the earlier come first.

    Keys are of shape (n,), values of (n, d). Each array is gone through from front to back, as
    they may lie in files.
    """
    here = later = 0
    for at in range(len(merged_keys)):
        if later == len(later_keys) or (here < len(keys) and keys[here] <= later_keys[later]):
            merged_keys[at] = keys[here]
            merged_values[at] = values[here]
            here += 1
        else:
            merged_keys[at] = later_keys[later]
            merged_values[at] = later_values[later]
            later += 1


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def mark(bits: npt.NDArray[np.uint8], keys: Halves, tails: Halves) -> None:
    """Set the two bits of each id, one by each half, among 8 × 2ⁿ of them."""
    shift = _shift(bits)
    for i in range(len(keys)):
        for half in (keys[i], tails[i]):
            bit = half >> shift
            bits[bit >> _PLACE] |= np.uint8(1 << (bit & _BIT))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def has(bits: npt.NDArray[np.uint8], keys: Halves, tails: Halves) -> npt.NDArray[np.bool_]:
    """Return whether both bits of each id are set."""
    shift = _shift(bits)
    both = np.empty(len(keys), np.bool_)
    for i in range(len(keys)):
        one, other = keys[i] >> shift, tails[i] >> shift
        both[i] = bits[one >> _PLACE] >> (one & _BIT) & bits[other >> _PLACE] >> (other & _BIT) & 1
    return both


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _shift(bits: npt.NDArray[np.uint8]) -> np.uint64:
    """Return by how much to shift 64 bits, so that what is left is the place of a bit."""
    shift = 64
    while 8 * len(bits) >> (64 - shift) > 1:
        shift -= 1
    return np.uint64(shift)
