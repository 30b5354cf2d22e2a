"""Where words begin and end, whatever a word is: what the splitters of texts share.

A splitter goes through a text, 64 bytes of ASCII at a time where it can and character by
character elsewhere, and says of what kind each is; here the text is written down in lower case
with the borders of its words. So a word has the same bytes, and the same hash, whichever way
it was read. Nothing here branches on where a word ends: one byte in five, it cannot be
predicted.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.blocks import BLOCK, SPARE, list_ones, only_first
from tamis.kernels.utf8 import put_long

__all__ = [
    "ALONE",
    "BETWEEN",
    "GOLDEN",
    "MARKS",
    "ODD",
    "WORD",
    "Room",
    "extend",
    "hash_words",
    "mixed",
    "put",
    "put_words",
    "room_for",
    "run_hashes",
    "scrambled",
    "word_hash",
]

BETWEEN = 0  # parts words
WORD = 1  # a run of these is a word
MARKS = 2  # and so is a run of these
ALONE = 3  # a word of its own

_ONE, _8, _32, _33 = np.uint64(1), np.uint64(8), np.uint64(32), np.uint64(33)
_ALL = ~np.uint64(0)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits well mixed: 2**64 over the golden ratio
ODD = np.uint64(0xD6E8FEB86659FD93)  # another such number

_MIX_1, _MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


class Room(NamedTuple):
    """What splitters write to.

    Attributes
    ----------
    text : uint8 array
        UTF-8 in lower case. Eight bytes from any place in a word can be read.
    begins, ends : int64 arrays
        Word w is `text[begins[w] : ends[w]]`.
    """

    text: npt.NDArray[np.uint8]
    begins: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def room_for(n_bytes: int) -> Room:
    """Return room for texts of so many bytes: 19 bytes for each."""
    # A byte that is no UTF-8 becomes the three of U+FFFD; a block is written whole.
    text = np.empty(3 * n_bytes + 2 * BLOCK, np.uint8)
    most = n_bytes + 2 + SPARE
    return Room(text, np.empty(most, np.int64), np.empty(most, np.int64))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def put_words(
    word: np.uint64,
    other: np.uint64,
    inner: np.uint64,
    n: int,
    kind: int,
    before: int,
    words: int,
    length: int,
    room: Room,
) -> tuple[int, int]:
    """Note where words begin and end in `n` bytes, written to `room.text[length:]`.

    Parameters
    ----------
    word, other, inner : uint64
        Which of the bytes are of kind WORD, which of `kind`, MARKS or ALONE, and which go on
        a character.
    before : int
        Kind of the character before.
    words : int
        Words that have ended.

    Returns
    -------
    kind : int
        That of the last byte.
    words : int
        Words that have ended now.
    """
    valid = only_first(n)
    word, other = word & valid, other & valid
    after_word = word << _ONE | np.uint64(before == WORD)
    after_other = other << _ONE | np.uint64(before == kind)
    going_on = other & (after_other if kind == MARKS else inner)
    begun = word & ~after_word | other & ~going_on
    ended = (after_word & ~word | after_other & ~going_on) & valid
    list_ones(begun, length, room.begins, words + (before != BETWEEN))
    words = list_ones(ended, length, room.ends, words)
    last = np.uint64(n - 1)
    return int(word >> last & _ONE) * WORD + int(other >> last & _ONE) * kind, words


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def put(point: int, kind: int, before: int, words: int, length: int, room: Room) -> tuple[int, int]:
    """Write a character after one of kind `before`; return words that have ended, and length."""
    going_on = (kind == before) & (kind != ALONE)
    room.ends[np.uint64(words)] = length
    words += (not going_on) & (before != BETWEEN)
    # Inside a word this is the place of the next one, which is written again when that begins.
    room.begins[np.uint64(words + (going_on & (kind != BETWEEN)))] = length
    room.text[np.uint64(length)] = point
    return words, length + 1 if point < 0x80 else put_long(point, room.text, length)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def word_hash(
    text: npt.NDArray[np.uint8], begin: int, end: int, factor: np.uint64 = GOLDEN
) -> np.uint64:
    """Return a hash of the word `text[begin:end]`, a multiplication for every 8 bytes.

    Another odd `factor` is another hash.
    """
    left = np.uint64(end - begin)
    state = left * factor  # so that NULs at the end count
    while left > _8:  # seldom: one English word in ten
        state = mixed(state, _eight_bytes(text, begin), factor)
        begin += 8
        left -= _8
    return np.uint64(mixed(state, _eight_bytes(text, begin) & _ALL >> (_8 - left) * _8, factor))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def hash_words(room: Room, words: int, hashes: npt.NDArray[np.uint64]) -> None:
    """Write the hash of each of the first `words` to `hashes`."""
    for word in range(words):
        hashes[word] = word_hash(room.text, room.begins[word], room.ends[word])


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def run_hashes(words: npt.NDArray[np.uint64], n: int, runs: npt.NDArray[np.uint64]) -> int:
    """Write the hash of each run of `n` words to `runs`, by where it begins; return how many.

    A word at a time for all runs: that goes in vectors, a rolling hash does not. What uses some
    of a hash's bits wants it `scrambled`.
    """
    count = max(len(words) - n + 1, 0)
    runs = runs[:count]
    runs[:] = words[:count]
    for later in range(1, n):
        extend(runs, words[later : later + count])
    return count


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def extend(runs: npt.NDArray[np.uint64], words: npt.NDArray[np.uint64]) -> None:
    """Make hashes of runs those of one word more: whole rows, which go in vectors."""
    for i in range(len(runs)):
        runs[i] = runs[i] * ODD + words[i]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def mixed(state: np.uint64, value: np.uint64, factor: np.uint64 = GOLDEN) -> np.uint64:
    """Return a hash of a hash and a value, all its bits together; what uses some: `scrambled`."""
    product = (state ^ value) * factor
    return product ^ product >> _32


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def scrambled(x: np.uint64) -> np.uint64:
    """Return a number every bit of which depends on every bit of `x`, none the same for two."""
    x = (x ^ x >> _33) * _MIX_1
    x = (x ^ x >> _33) * _MIX_2
    return np.uint64(x ^ x >> _33)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _eight_bytes(text: npt.NDArray[np.uint8], i: int) -> np.uint64:
    """Return 8 bytes from `text[i]` as a little-endian number; the compiler makes it one load."""
    value = np.uint64(0)
    for j in range(8):
        value |= np.uint64(text[np.uint64(i) + np.uint64(j)]) << np.uint64(8 * j)
    return value
