"""UTF-8, sixty-four bytes at a time: how many are whole characters, and where the long ones are.

What `tamis.kernels.blocks` tells of ASCII, 64 bytes at once, is told here of each longer
character by a look into a table, with no branch on what it is: letters, spaces and marks stand
in any order, and a branch on them is wrong too often. What is no valid UTF-8 is left to
`characters.code_point`.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.blocks import BLOCK, beyond_ascii, first_one, four_bytes, only_first, within

__all__ = [
    "FEW",
    "bytes_of",
    "has_longer",
    "inner",
    "long_point",
    "put_long",
    "to_their_ends",
    "whole",
]

FEW = 8  # bytes that are gone through one by one before a block is tried again
_READ = 4  # bytes that are read of a character, however long it is
_NONE, _ONE, _2, _3, _4, _5, _6 = map(np.uint64, range(7))
_8, _12, _16, _18, _24, _32 = map(np.uint64, (8, 12, 16, 18, 24, 32))
_LOW = np.uint64(0x3F)  # what a byte after the first holds
_THREE, _FOUR = np.uint64(0xE0), np.uint64(0xF0)  # from here on a first byte has so many


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def whole(data: npt.NDArray[np.uint8], at: int, stop: int) -> tuple[int, np.uint64]:
    """Return how many bytes from `at` on are whole characters, and which begin a long one.

    Returns
    -------
    n : int
        Up to 64; 0 where `data` ends too soon, or begins with what is no valid UTF-8.
    leads : uint64
        Bit j is one where `at + j` is the first byte of a character beyond ASCII.
    """
    if at + BLOCK + _READ > len(data):
        return 0, _NONE
    n = min(stop - at, BLOCK)
    leads = _NONE
    if beyond_ascii(data, at) & only_first(n):
        n, leads = _whole(data, at, n)
    return n, leads


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _whole(data: npt.NDArray[np.uint8], at: int, n: int) -> tuple[int, np.uint64]:
    """Do as `whole` where some of `n` bytes are beyond ASCII."""
    four = np.uint64(within(data, at, 0xF0, 5))
    three = np.uint64(within(data, at, 0xE0, 16)) | four  # or more
    leads = np.uint64(within(data, at, 0xC2, 30)) | three
    following = inner(data, at)
    expected = leads << _ONE | three << _2 | four << _3
    wrong = beyond_ascii(data, at) & ~(leads | following) | following ^ expected
    wrong |= _too_far(data, at)
    n = min(n, first_one(wrong))
    if n == 0:
        return 0, _NONE
    last = _ONE << np.uint64(n - 1)
    cut = leads & last | three & last >> _ONE | four & last >> _2
    if cut:
        n = first_one(cut)
    return n, leads & only_first(n) if n else _NONE


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _too_far(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    """Say which second bytes make a character that is written too long, or is none."""
    short_3 = within(data, at, 0xE0, 1) << _ONE & within(data, at, 0x80, 0x20)
    surrogate = within(data, at, 0xED, 1) << _ONE & within(data, at, 0xA0, 0x20)
    short_4 = within(data, at, 0xF0, 1) << _ONE & within(data, at, 0x80, 0x10)
    beyond = within(data, at, 0xF4, 1) << _ONE & within(data, at, 0x90, 0x30)
    return np.uint64(short_3 | surrogate | short_4 | beyond)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def inner(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    """Say which bytes are of a long character, and not its first."""
    return np.uint64(within(data, at, 0x80, 0x40))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def to_their_ends(leads: np.uint64, following: np.uint64) -> np.uint64:
    """Return the bits of whole characters, given those of their first bytes and all `inner`."""
    for _ in range(3):
        leads |= leads << _ONE & following
    return leads


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def has_longer(data: npt.NDArray[np.uint8], at: int) -> bool:
    """Say whether some of 64 bytes begin a character of three bytes or four."""
    return bool(within(data, at, 0xE0, 0x20) != _NONE)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def long_point(data: npt.NDArray[np.uint8], at: int, longer: bool) -> np.int64:
    """Return the code point that begins at `data[at]`, of two bytes, or more where `longer`.

    It must be whole and valid; four bytes are read. Of two it is less work: with `longer` the
    same for a block, Cyrillic, Greek, Hebrew and Arabic letters are spared the rest.
    """
    four = four_bytes(data, at)
    lead = four >> _24
    if not longer:
        return np.int64((lead & _LOW) << _6 | four >> _16 & _LOW)
    width = _2 + np.uint64(lead >= _THREE) + np.uint64(lead >= _FOUR)
    bits = four >> (_32 - _8 * width)
    point = bits & _LOW | bits >> _2 & _LOW << _6
    point |= bits >> _4 & _LOW << _12 | bits >> _6 & _LOW << _18
    # What is left of the first byte's ones, which say how long the character is, goes.
    return np.int64(point & (_ONE << (_5 * width + _ONE)) - _ONE)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def bytes_of(point: int) -> int:
    """Return how many bytes a code point takes."""
    return 1 + (point >= 0x80) + (point >= 0x800) + (point >= 0x10000)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def put_long(point: int, text: npt.NDArray[np.uint8], at: int) -> int:
    """Write a code point of two bytes or more at `text[at]`; return the place after it."""
    more = int(bytes_of(point)) - 1
    text[at] = (0xF00 >> (more + 1) & 0xFF) | point >> 6 * more
    for j in range(1, more + 1):
        text[at + j] = 0x80 | (point >> 6 * (more - j) & 0x3F)
    return at + 1 + more
