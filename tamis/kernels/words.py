r"""Words of UTF-8 text as `\w+|[^\w\s]+` finds them in its lower case, byte by byte.

That is NLTK's `WordPunctTokenizer` on `text.lower()`. What is a word, what is space and what
is whose lower case was asked of Python itself, once, for every code point, so the words are
those of `re` and `str.lower` to the last accent.

The loop is written for the processor: on ASCII no branch depends on the text. Every byte is
written, and the place to write moves on only when it should. A byte takes about 1.3 ns; a
branch at each word's end, one byte in five, would be mispredicted half of the time and cost
as much again. Places are unsigned, which spares a look at each for a negative index.
"""

import re
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.characters import code_point

__all__ = ["room_for", "split", "word_table"]

_SPACE, _WORD, _PUNCTUATION = 0, 1, 2
_KIND_AT = 24
_CASED = 1 << 26
_IGNORED = 1 << 27
_POINT = (1 << 21) - 1
_POINTS = 0x110000
_CAPITAL_SIGMA, _FINAL_SIGMA = ord("Σ"), ord("ς")
_CAPITAL_I_DOT, _DOT_ABOVE = ord("İ"), 0x307  # the one capital whose lower case is two


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
    kinds = np.full(len(points), _PUNCTUATION, np.uint32)
    for pattern, kind in ((r"\w+", _WORD), (r"\s+", _SPACE)):
        for run in re.finditer(pattern, text):
            kinds[run.start() : run.end()] = kind
    return kinds


def _text(points: npt.NDArray[np.integer]) -> str:
    return points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def room_for(n_bytes: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the arrays `text` and `ends` that `split` needs for texts of so many bytes."""
    # A lower case can be half as long again, and every byte a word with a space after it.
    return np.empty(3 * n_bytes + 16, np.uint8), np.empty(n_bytes + 2, np.int64)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def split(
    data: npt.NDArray[np.uint8],
    start: int,
    stop: int,
    table: npt.NDArray[np.uint32],
    text: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.int64],
    words: int = 0,
) -> int:
    """Write the words of `data[start:stop]` to `text`, one space between two; count them.

    Parameters
    ----------
    data : uint8 array
        UTF-8. What is not gives some words or other.
    start, stop : int
    table : uint32 array
        `word_table()`.
    text : uint8 array, written to
        The words in lower case: an n-gram is a slice of it. Eight bytes from any place in a
        word can be read.
    ends : int64 array, written to
        Word w is `text[ends[w] + 1 : ends[w + 1]]`.
    words : int
        Words that are there already, of texts before; these stand after them.

    Returns
    -------
    int
        Words that are there now.

    Examples
    --------
    >>> data = np.frombuffer(b"Don't!", np.uint8)
    >>> text, ends = room_for(len(data))
    >>> words = split(data, 0, len(data), word_table(), text, ends)
    >>> words, text[: ends[words]].tobytes()
    (4, b"don ' t !")
    """
    ends[0] = -1
    length = ends[words] + 1
    before = _SPACE
    i = start
    while i < stop:
        if data[np.uint64(i)] < 0x80:
            entry = table[data[np.uint64(i)]]
            i += 1
        else:
            at = i
            point, width = code_point(data, at, stop)
            i += width
            entry = table[point]
            if point == _CAPITAL_SIGMA and _is_final(data, start, at, i, stop, table):
                entry = table[_FINAL_SIGMA]
            elif point == _CAPITAL_I_DOT:
                before, words, length = _written(entry, before, words, length, text, ends)
                entry = table[_DOT_ABOVE]
        before, words, length = _written(entry, before, words, length, text, ends)
    if before == _SPACE:
        return words
    ends[words + 1], text[length] = length, 0x20
    return words + 1


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _written(
    entry: int,
    before: int,
    words: int,
    length: int,
    text: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.int64],
) -> tuple[int, int, int]:
    """Write a character after one of kind `before`; return its kind, and words and length."""
    kind = int(entry >> _KIND_AT & 3)
    word_ended = (kind != before) & (before != _SPACE)
    ends[np.uint64(words + 1)] = length
    words += word_ended
    text[np.uint64(length)] = 0x20
    length += word_ended
    point = int(entry & _POINT)
    if point < 0x80:
        text[np.uint64(length)] = point
        return kind, words, length + (kind != _SPACE)
    if kind != _SPACE:
        length = _encoded(point, text, length)
    return kind, words, length


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _encoded(point: int, text: npt.NDArray[np.uint8], length: int) -> int:
    """Write a code point of two bytes or more at `text[length]`; return the new length."""
    more = 1 if point < 0x800 else 2 if point < 0x10000 else 3
    text[length] = (0xF00 >> (more + 1) & 0xFF) | point >> 6 * more
    for j in range(1, more + 1):
        text[length + j] = 0x80 | (point >> 6 * (more - j) & 0x3F)
    return length + 1 + more


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
