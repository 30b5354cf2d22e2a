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
    beyond_ascii,
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
from tamis.kernels.spans import ALONE, BETWEEN, WORD, Room, hash_words, put, put_words
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

__all__ = ["split", "split_at_spaces", "split_lines", "word_hashes"]

_KINDS = np.uint32(7)
_NEW_LINE = ord("\n")
_NONE, _ONE, _ALL = np.uint64(0), np.uint64(1), ~np.uint64(0)
# Which kinds of character, a bit each, are parts of words, words of their own, and left out.
_LEXEMES = tuple(
    np.uint64(sum(1 << kind for kind in kinds))
    for kinds in ((IN_A_WORD,), (LETTER, SYMBOL), (IGNORED,))
)
_AT_SPACES = (~np.uint64(1 << SPACE), _NONE, _NONE)


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
    as_word, as_own, left_out = _AT_SPACES if at_spaces else _LEXEMES
    before, words, length = BETWEEN, 0, 0
    i = start
    while i < stop:
        n, leads = whole(data, i, stop)
        if n:
            copy_lower(data, i, room.text, length)
            word = _unspaced(data, i) if at_spaces else wordlike(data, i)
            alone = _NONE if at_spaces else symbols(data, i)
            if leads:
                n, long, own, capitals = _long_ones(data, i, n, leads, table, at_spaces)
                _lower(data, i, capitals, _ALL, table, room.text, length)
                word, alone = word | long, alone | own
        if n:
            going_on = inner(data, i)
            before, words = put_words(word, alone, going_on, n, ALONE, before, words, length, room)
            length += n
            i += n
            continue
        pause = min(i + FEW, stop)
        while i < pause:
            entry, width = character(data, i, stop, table)
            i += width
            said = np.uint64(entry >> KIND_AT & _KINDS)
            if not left_out >> said & _ONE:
                kind = WORD * int(as_word >> said & _ONE) + ALONE * int(as_own >> said & _ONE)
                words, length = put(int(entry & LOWER), kind, before, words, length, room)
                before = kind
    room.ends[words] = length
    return words + (before != BETWEEN)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _unspaced(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    """Say which bytes are of ASCII and not blank."""
    return np.uint64(~(blank(data, at) | beyond_ascii(data, at)))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _long_ones(
    data: npt.NDArray[np.uint8],
    at: int,
    n: int,
    leads: np.uint64,
    table: npt.NDArray[np.uint32],
    at_spaces: bool,
) -> tuple[int, np.uint64, np.uint64, np.uint64]:
    """Say which of `n` bytes are of long characters in words, and which of words of their own.

    Last come the first bytes of capitals. Fewer bytes come back where a character follows that
    is left out of words, or whose lower case has another length.
    """
    as_word, as_own, left_out = _AT_SPACES if at_spaces else _LEXEMES
    word = alone = capitals = _NONE
    longer = has_longer(data, at)
    while leads:
        first, one = first_one(leads), leads & ~(leads - _ONE)
        leads ^= one
        point = long_point(data, at + first, longer)
        entry = table[np.uint64(point)]
        lower = np.int64(entry & LOWER)
        kind = np.uint64(entry >> KIND_AT & _KINDS)
        if left_out >> kind & _ONE or (lower != point and bytes_of(lower) != bytes_of(point)):
            n = first
            break
        word |= one * (as_word >> kind & _ONE)
        alone |= one * (as_own >> kind & _ONE)
        capitals |= one * np.uint64(lower != point)
    going_on = inner(data, at)
    return n, to_their_ends(word, going_on), to_their_ends(alone, going_on), capitals


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _lower(
    data: npt.NDArray[np.uint8],
    at: int,
    capitals: np.uint64,
    copied: np.uint64,
    table: npt.NDArray[np.uint32],
    text: npt.NDArray[np.uint8],
    to: int,
) -> None:
    """Write the lower case of long capitals over them, where those that are `copied` begin."""
    longer = has_longer(data, at)
    while capitals:
        first = first_one(capitals)
        capitals &= capitals - _ONE
        entry = table[np.uint64(long_point(data, at + first, longer))]
        before = copied & ((_ONE << np.uint64(first)) - _ONE)
        put_long(np.int64(entry & LOWER), text, to + ones(before))


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
        n, leads = whole(data, i, stop)
        if i + 2 * BLOCK > len(data):  # 64 bytes are copied from where a run begins
            n, leads = 0, _NONE
        said, capitals = _unspaced(data, i) if n else _NONE, _NONE
        if leads:
            n, long, _, capitals = _long_ones(data, i, n, leads, table, True)
            said |= long
        if n:
            said &= only_first(n)
            ended = within(data, i, _NEW_LINE, 1) & only_first(n)
            while ended:
                lines = _end_line(lines, length + ones(said & (ended ^ ended - _ONE)), room)
                ended &= ended - _ONE
            _copy_runs(data, i, said, room.text, length)
            _lower(data, i, capitals, said, table, room.text, length)
            length += ones(said)
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
def _copy_runs(
    data: npt.NDArray[np.uint8],
    at: int,
    said: np.uint64,
    text: npt.NDArray[np.uint8],
    to: int,
) -> None:
    """Write those bytes of a block that are `said`, in lower case; up to 64 more are touched."""
    while said:
        first = first_one(said)
        copy_lower(data, at + first, text, to)
        to += first_one(~(said >> np.uint64(first)))
        said &= said + (_ONE << np.uint64(first))  # the carry runs through the run


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
    hash_words(room, words, hashes)
    return words
