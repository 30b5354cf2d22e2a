r"""Words of UTF-8 text as `\w+|[^\w\s]+` finds them in its lower case, byte by byte.

That is NLTK's `WordPunctTokenizer` on `text.lower()`. What is a word, what is space and what
is whose lower case was asked of Python itself, once, for every code point, so the words are
those of `re` and `str.lower` to the last accent.

Text goes 64 bytes at a time (`tamis.kernels.blocks`), of which each character beyond ASCII is
looked up in a table (`tamis.kernels.utf8`); one by one only what is no valid UTF-8, the end of
all texts, and the few capitals whose lower case is a matter of what stands around.
"""

import re
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.blocks import blank, copy_lower, first_one, within, wordlike
from tamis.kernels.characters import code_point
from tamis.kernels.spans import BETWEEN, MARKS, WORD, Room, put, put_words
from tamis.kernels.utf8 import (
    FEW,
    bytes_of,
    has_longer,
    inner,
    long_point,
    put_long,
    to_their_ends,
    whole,
)

__all__ = ["split", "word_table"]

_KIND_AT = 24
_CASED = 1 << 26
_IGNORED = 1 << 27
_POINT = (1 << 21) - 1
_POINTS = 0x110000
_CAPITAL_SIGMA, _FINAL_SIGMA = ord("Σ"), ord("ς")
_CAPITAL_I_DOT, _DOT_ABOVE = ord("İ"), 0x307  # the one capital whose lower case is two
_ONE = np.uint64(1)


@cache
def word_table() -> npt.NDArray[np.uint32]:
    """Return for each code point its lower case, that one's kind, and how it acts on a sigma.

    Returns
    -------
    uint32 array of shape (0x110000,)
        Bits 0-20: the lower case. Bits 24-25: 0 for space, 1 for part of a word, 2 for the
        rest. Bit 26: has case. Bit 27: is passed over when a final sigma is looked for.

    Notes
    -----
    Built in about 0.3 s, a plane of Unicode at a time; 4.5 MB. It follows the Unicode
    version of the Python that runs, as `re` does.
    """
    return np.concatenate([_plane(first) for first in range(0, _POINTS, 0x10000)])


def _plane(first: int) -> npt.NDArray[np.uint32]:
    points = np.arange(first, first + 0x10000, dtype=np.uint32)
    points[points == _CAPITAL_I_DOT] = ord("I")  # split() adds the dot
    lower = _lowered(points)
    # str.lower makes Σ a ς after a character with case, whatever is ignored between the two.
    cased = _lowered(points, ord("Σ"), ord(" "))[1::3] == _FINAL_SIGMA
    passed = _lowered(ord("A"), points, ord("Σ"), ord(" "))[2::4] == _FINAL_SIGMA
    flags = np.where(cased, _CASED, np.where(passed, _IGNORED, 0)).astype(np.uint32)
    return lower | _kinds(lower) << np.uint32(_KIND_AT) | flags


def _lowered(*characters: npt.NDArray[np.uint32] | int) -> npt.NDArray[np.uint32]:
    """Return the lower case of a text that repeats `characters`, an array one by one."""
    text = _text(np.stack(np.broadcast_arrays(*characters), axis=-1)).lower()
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint32)


def _kinds(points: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    text = _text(points)
    kinds = np.full(len(points), MARKS, np.uint32)
    for pattern, kind in ((r"\w+", WORD), (r"\s+", BETWEEN)):
        for run in re.finditer(pattern, text):
            kinds[run.start() : run.end()] = kind
    return kinds


def _text(points: npt.NDArray[np.integer]) -> str:
    return points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def split(
    data: npt.NDArray[np.uint8],
    start: int,
    stop: int,
    table: npt.NDArray[np.uint32],
    room: Room,
    words: int = 0,
) -> int:
    """Write down where the words of `data[start:stop]` are; count them.

    Parameters
    ----------
    data : uint8 array
        UTF-8. What is not gives some words or other.
    start, stop : int
    table : uint32 array
        `word_table()`.
    room : Room
        That `room_for` gave; written to.
    words : int
        Words that are there already, of texts before; these stand after them.

    Returns
    -------
    int
        Words that are there now.

    Examples
    --------
    >>> from tamis.kernels.spans import room_for
    >>> data = np.frombuffer(b"Don't!", np.uint8)
    >>> room = room_for(len(data))
    >>> words = split(data, 0, len(data), word_table(), room)
    >>> [room.text[room.begins[w] : room.ends[w]].tobytes() for w in range(words)]
    [b'don', b"'", b't', b'!']
    """
    length = room.ends[words - 1] if words else 0
    before = BETWEEN
    i = start
    while i < stop:
        n, leads = whole(data, i, stop)
        if n:
            copy_lower(data, i, room.text, length)
            word = wordlike(data, i)
            space = blank(data, i) | within(data, i, 0x1C, 4)  # \x1c to \x1f are \s
            if leads:
                n, word, space = _with_long(data, i, n, leads, word, space, table, room, length)
        if n:
            rest, going_on = ~(word | space), inner(data, i)
            before, words = put_words(word, rest, going_on, n, MARKS, before, words, length, room)
            length += n
            i += n
            continue
        pause = min(i + FEW, stop)
        while i < pause:
            point = int(data[np.uint64(i)])
            entry, width = table[point], 1
            if point >= 0x80:
                point, width = code_point(data, i, stop)
                entry = table[point]
                if point == _CAPITAL_SIGMA and _is_final(data, start, i, i + width, stop, table):
                    entry = table[_FINAL_SIGMA]
                elif point == _CAPITAL_I_DOT:
                    before, words, length = _put(entry, before, words, length, room)
                    entry = table[_DOT_ABOVE]
            before, words, length = _put(entry, before, words, length, room)
            i += width
    room.ends[words] = length
    return words + (before != BETWEEN)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _with_long(
    data: npt.NDArray[np.uint8],
    at: int,
    n: int,
    leads: np.uint64,
    word: np.uint64,
    space: np.uint64,
    table: npt.NDArray[np.uint32],
    room: Room,
    length: int,
) -> tuple[int, np.uint64, np.uint64]:
    """Say of long characters too what is a word and what space; put capitals in lower case.

    Fewer bytes come back where a capital follows whose lower case depends on what is around it.
    """
    longer = has_longer(data, at)
    while leads:
        first, one = first_one(leads), leads & ~(leads - _ONE)
        leads ^= one
        point = long_point(data, at + first, longer)
        entry = table[np.uint64(point)]
        lower = entry & _POINT
        if lower != point:
            around = (point == _CAPITAL_SIGMA) | (point == _CAPITAL_I_DOT)
            if around or bytes_of(lower) != bytes_of(point):
                n = first
                break
            put_long(lower, room.text, length + first)
        kind = entry >> _KIND_AT & 3
        word |= one * np.uint64(kind == WORD)
        space |= one * np.uint64(kind == BETWEEN)
    going_on = inner(data, at)
    return n, to_their_ends(word, going_on), to_their_ends(space, going_on)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _put(entry: int, before: int, words: int, length: int, room: Room) -> tuple[int, int, int]:
    kind = int(entry >> _KIND_AT & 3)
    words, length = put(int(entry & _POINT), kind, before, words, length, room)
    return kind, words, length


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _is_final(
    data: npt.NDArray[np.uint8],
    start: int,
    at: int,
    after: int,
    stop: int,
    table: npt.NDArray[np.uint32],
) -> bool:
    """Say whether the sigma at `data[at:after]` ends a word: case before it, none after.

    What Unicode ignores here, such as an apostrophe, is passed over on either side.
    """
    entry = np.uint32(_IGNORED)
    while entry & _IGNORED and at > start:
        at -= 1
        while at > start and data[at] & 0xC0 == 0x80:
            at -= 1
        entry = table[code_point(data, at, stop)[0]]
    if not entry & _CASED:
        return False
    entry = np.uint32(_IGNORED)
    while entry & _IGNORED and after < stop:
        point, width = code_point(data, after, stop)
        entry = table[point]
        after += width
    return not entry & _CASED
