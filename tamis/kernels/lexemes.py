"""Words of any script, with or without spaces, as `tamis.kernels.characters` tells characters.

Words are lower-case runs of letters, digits, '_' and combining marks; a character of a
script without spaces (Han, kana, Thai, …) and a symbol (+, <, €, an emoji) are each a word;
punctuation only parts words, and what Unicode ignores (a soft hyphen) is left out of them.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.blocks import (
    BLOCK,
    blank,
    copy_lower,
    first_one,
    ones,
    only_first,
    symbols,
    within,
    wordlike,
)
from tamis.kernels.characters import IGNORED, KIND_AT, LETTER, LOWER, SPACE, SYMBOL, character
from tamis.kernels.characters import WORD as IN_A_WORD
from tamis.kernels.spans import (
    ALONE,
    BETWEEN,
    FEW,
    WORD,
    Room,
    plain,
    put,
    put_block,
    word_hash,
)

__all__ = ["split", "split_at_spaces", "split_lines", "word_hashes"]

_KINDS = np.uint32(7)
_LEFT_OUT = -1
_NEW_LINE = ord("\n")
_NONE, _ONE = np.uint64(0), np.uint64(1)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def split(
    data: npt.NDArray[np.uint8], start: int, stop: int, table: npt.NDArray[np.uint32], room: Room
) -> int:
    """Write down where the words of `data[start:stop]` are; count them.

    Parameters
    ----------
    data : uint8 array
        UTF-8.
    start, stop : int
    table : uint32 array
        `characters.character_table()`.
    room : Room
        That `spans.room_for` gave; written to.

    Examples
    --------
    >>> from tamis.kernels.characters import character_table
    >>> from tamis.kernels.spans import room_for
    >>> data = np.frombuffer("Don't: 1+2 漢字".encode(), np.uint8)
    >>> room = room_for(len(data))
    >>> words = split(data, 0, len(data), character_table(), room)
    >>> [room.text[room.begins[w] : room.ends[w]].tobytes().decode() for w in range(words)]
    ['don', 't', '1', '+', '2', '漢', '字']
    """
    return int(_split(data, start, stop, table, room, False))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def split_at_spaces(
    data: npt.NDArray[np.uint8], start: int, stop: int, table: npt.NDArray[np.uint32], room: Room
) -> int:
    """Do as `split` where a word is any run of characters that are not white space."""
    return int(_split(data, start, stop, table, room, True))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _split(
    data: npt.NDArray[np.uint8],
    start: int,
    stop: int,
    table: npt.NDArray[np.uint32],
    room: Room,
    at_spaces: bool,
) -> int:
    before, words, length = BETWEEN, 0, 0
    i = start
    while i < stop:
        n = plain(data, i, stop)
        if n:
            word = ~blank(data, i) if at_spaces else wordlike(data, i)
            alone = _NONE if at_spaces else symbols(data, i)
            before, words = put_block(data, i, n, word, alone, ALONE, before, words, length, room)
            length += n
            i += n
            continue
        pause = min(i + FEW, stop)
        while i < pause:
            entry, width = character(data, i, stop, table)
            i += width
            kind = _kind(entry >> KIND_AT & _KINDS, at_spaces)
            if kind != _LEFT_OUT:
                words, length = put(int(entry & LOWER), kind, before, words, length, room)
                before = kind
    room.ends[words] = length
    return words + (before != BETWEEN)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _kind(said: int, at_spaces: bool) -> int:
    """Return what a character is to the words, of what it is to `characters`."""
    if at_spaces:
        return WORD * (said != SPACE)
    if said == IGNORED:
        return _LEFT_OUT
    return WORD * (said == IN_A_WORD) + ALONE * ((said == LETTER) | (said == SYMBOL))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def split_lines(
    data: npt.NDArray[np.uint8], start: int, stop: int, table: npt.NDArray[np.uint32], room: Room
) -> int:
    r"""Write down the lines of `data[start:stop]`, all their white space left out; count them.

    Lines end at '\n'. One can be empty.
    """
    lines, length = 0, 0
    room.begins[0] = 0
    i = start
    while i < stop:
        n = plain(data, i, stop)
        if n and i + 2 * BLOCK <= len(data):  # 64 bytes are copied from where a run begins
            said = ~blank(data, i) & only_first(n)
            ended = within(data, i, _NEW_LINE, 1) & only_first(n)
            while ended:
                lines = _end_line(lines, length + ones(said & (ended ^ ended - _ONE)), room)
                ended &= ended - _ONE
            while said:
                first = first_one(said)
                copy_lower(data, i + first, room.text, length)
                length += first_one(~(said >> np.uint64(first)))
                said &= said + (_ONE << np.uint64(first))  # the carry runs through the run
            i += n
            continue
        pause = min(i + FEW, stop)
        while i < pause:
            entry, width = character(data, i, stop, table)
            i += width
            if entry & LOWER == _NEW_LINE:
                lines = _end_line(lines, length, room)
            elif entry >> KIND_AT & _KINDS != SPACE:
                _, length = put(int(entry & LOWER), WORD, WORD, lines, length, room)
    room.ends[lines] = length
    return lines + 1


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _end_line(lines: int, length: int, room: Room) -> int:
    room.ends[lines] = room.begins[lines + 1] = length
    return lines + 1


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def word_hashes(
    data: npt.NDArray[np.uint8],
    start: int,
    stop: int,
    table: npt.NDArray[np.uint32],
    room: Room,
    hashes: npt.NDArray[np.uint64],
) -> int:
    """Write the hash of each word of `data[start:stop]` to `hashes`; return how many."""
    words: int = split(data, start, stop, table, room)
    for word in range(words):
        hashes[word] = word_hash(room.text, room.begins[word], room.ends[word])
    return words
