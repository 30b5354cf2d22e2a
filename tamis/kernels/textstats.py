"""Counts that tell good text from bad: words, symbols, broken characters, copies of itself.

One pass over each text. What is a word, a letter or a symbol is said in `characters`.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.characters import (
    BROKEN,
    IGNORED,
    KIND_AT,
    LETTER,
    LOWER,
    SCRIPT_AT,
    SPACE,
    WORD,
    character,
    character_table,
)
from tamis.kernels.minhash import word_hashes

__all__ = ["COUNTS", "text_counts"]

COUNTS = (
    "characters",  # all, and of these:
    "spaces",
    "letters",  # letters, digits, '_' and combining marks
    "script_letters",  # letters of a script in `characters.SCRIPTS`, and of these:
    "foreign_letters",  # those of a script that was not asked for
    "broken",  # U+FFFD, control characters, and marks of UTF-8 read as Latin-1 ('Ã©', 'â€™')
    "words",
    "longest_word",  # in characters
    "ngrams",  # runs of words, of the first 100,000 words, and of these:
    "copied_ngrams",  # those that stand in the text before
    "lines",  # lines that are not blank, and of these:
    "bullet_lines",  # those that begin with - * • or a like mark
    "ellipsis_lines",  # those that end in ... or …
    "ended_lines",  # those that end in . ! ? : or a like mark, or in a closing quotation mark
    "line_characters",  # characters of lines, less spaces, and of these:
    "copied_line_characters",  # those of lines that stand in the text before
    "hashes",  # '#', '…' and '...'
    "fences",  # '```'
)
(
    _CHARACTERS, _SPACES, _LETTERS, _SCRIPT_LETTERS, _FOREIGN_LETTERS, _BROKEN, _WORDS,
    _LONGEST_WORD, _NGRAMS, _COPIED_NGRAMS, _LINES, _BULLET_LINES, _ELLIPSIS_LINES,
    _ENDED_LINES, _LINE_CHARACTERS, _COPIED_LINE_CHARACTERS, _HASHES, _FENCES,
) = range(len(COUNTS))  # fmt: skip

_MOST_WORDS = 100_000  # so that a text of 50 MB needs no table of its own size
_DOT, _ELLIPSIS, _HASH, _TICK, _NEW_LINE = map(ord, ".…#`\n")

_START = np.uint64(0xCBF29CE484222325)
_ODD, _ODD_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_ONE, _32 = np.uint64(1), np.uint64(32)
_KINDS, _BYTE = np.uint32(7), np.uint64(255)

_NEW_LINE_ENTRY = np.uint32(_NEW_LINE)
_BULLET, _END = 1, 2

Offsets = npt.NDArray[np.int64]
Texts = npt.NDArray[np.uint8]
Table = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
Row = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]


@cache
def _marks() -> npt.NDArray[np.uint8]:
    """Return what a character up to U+FFFF means at the beginning or end of a line."""
    marks = np.zeros(0x10000, np.uint8)
    marks[list(map(ord, "-*•‣◦●▪–·○■□➢"))] |= _BULLET
    marks[list(map(ord, ".!?:;\"'”’»)]}…。！？：；」』）"))] |= _END
    return marks


def text_counts(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    asked: npt.NDArray[np.bool_],
    ngram: int | None,
) -> npt.NDArray[np.int64]:
    """Return for each text the numbers that `COUNTS` names.

    Parameters
    ----------
    offsets : int64 array of shape (n + 1,)
    data : uint8 array
        Text i is `data[offsets[i]:offsets[i + 1]]`, UTF-8.
    asked : bool array of shape (32,)
        For each number of a script, whether its letters are asked for.
    ngram : int or None
        Words in a run, at least 1. None counts neither runs nor lines: half the time.

    Returns
    -------
    int64 array of shape (n, len(COUNTS))

    Examples
    --------
    >>> data = np.frombuffer(b"to be, or not to be: that", np.uint8)
    >>> counts = text_counts(np.array([0, len(data)]), data, np.ones(32, bool), ngram=2)
    >>> dict(zip(COUNTS, counts[0].tolist()))["copied_ngrams"]
    1
    """
    scripts = np.append(True, asked[1:])  # number 0 has what is no letter of a script
    counts: npt.NDArray[np.int64] = _counted(
        offsets, data, character_table(), _marks(), scripts, ngram or 0
    )
    return counts


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _counted(
    offsets: Offsets, data: Texts, table: Table, marks: Texts, asked: Flags, ngram: int
) -> Counts:
    counts = np.zeros((len(offsets) - 1, len(COUNTS)), np.int64)
    longest = 0
    for text in range(len(counts)):
        longest = max(longest, offsets[text + 1] - offsets[text])
    hashes, lengths = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.int64)
    for text in range(len(counts)):
        start, stop, row = offsets[text], offsets[text + 1], counts[text]
        _count_characters(data, start, stop, table, asked, row)
        row[_WORDS] = word_hashes(data, start, stop, table, hashes)
        if ngram == 0:
            continue
        n_runs = _runs(hashes[: min(row[_WORDS], _MOST_WORDS)], ngram)
        lengths[:n_runs] = 1
        row[_NGRAMS], row[_COPIED_NGRAMS] = n_runs, _copied(hashes[:n_runs], lengths)
        if _has_several_lines(data, start, stop):
            n_lines = _count_lines(data, start, stop, table, marks, hashes, lengths, row)
            row[_COPIED_LINE_CHARACTERS] = _copied(hashes[:n_lines], lengths)
        elif row[_CHARACTERS] > row[_SPACES]:
            _count_one_line(data, start, stop, table, marks, row)
    return counts


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _count_characters(
    data: Texts, start: int, stop: int, table: Table, asked: Flags, row: Row
) -> None:
    """Count what needs no more than the character and the two before it.

    Characters of each kind are counted in a byte each of one number: an array in memory would
    be waited for at every character that is of the same kind as the one before.
    """
    kinds = np.zeros(8, np.int64)
    hashes = misread = word = longest = letters = foreign = 0
    before = before_that = np.int64(0)
    i = start
    while i < stop:
        packed, pause = np.uint64(0), min(stop, i + 255)
        while i < pause:
            entry, width = character(data, i, stop, table)
            kind = entry >> KIND_AT & _KINDS
            packed += _ONE << np.uint64(8 * kind)
            script = entry >> SCRIPT_AT
            letters += script != 0
            foreign += not asked[script]
            inside = kind == WORD
            word = (word + inside) & -np.int64(inside | (kind == IGNORED))
            longest = max(longest, word)
            point = np.int64(entry & LOWER)
            if width > 1:
                hashes += point == _ELLIPSIS
                misread += _misread(data, i, start, stop)
            elif kind != WORD and kind != SPACE:
                hashes += point == _HASH
                if point == before == before_that:
                    hashes += point == _DOT
                    row[_FENCES] += point == _TICK
                    point = np.int64(-1)  # six ticks are two fences
            before, before_that = point, before
            i += width
        for kind in range(len(kinds)):
            kinds[kind] += np.int64(packed >> np.uint64(8 * kind) & _BYTE)
    row[_CHARACTERS], row[_SPACES] = kinds.sum(), kinds[SPACE]
    row[_LETTERS], row[_BROKEN] = kinds[WORD] + kinds[LETTER], kinds[BROKEN] + misread
    row[_HASHES], row[_LONGEST_WORD] = hashes, longest
    row[_SCRIPT_LETTERS], row[_FOREIGN_LETTERS] = letters, foreign


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _misread(data: Texts, i: int, start: int, stop: int) -> bool:
    """Say whether the character at `i` and the one before it are UTF-8 read as Windows-1252.

    They are if 'Â' or 'Ã' comes before one of U+00A0 to U+00BF, or 'â' before '€'.
    """
    if i - 2 < start or i + 1 >= stop or data[i - 2] != 0xC3:
        return False
    if data[i] == 0xC2 and data[i + 1] >= 0xA0:
        return bool(data[i - 1] == 0x82 or data[i - 1] == 0x83)
    return bool(data[i - 1] == 0xA2 and data[i] == 0xE2 and data[i + 1] == 0x82)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _has_several_lines(data: Texts, start: int, stop: int) -> bool:
    several = False
    for i in range(start, stop):  # to the end: without a branch it goes 32 bytes at a time
        several |= data[i] == _NEW_LINE
    return several


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _count_one_line(
    data: Texts, start: int, stop: int, table: Table, marks: Texts, row: Row
) -> None:
    """Do as `_count_lines` with a text that is one line and has more than spaces: by its ends."""
    entry, width = character(data, start, stop, table)
    while entry >> KIND_AT & _KINDS == SPACE:
        start += width
        entry, width = character(data, start, stop, table)
    row[_BULLET_LINES] = marks[min(np.int64(entry & LOWER), np.int64(0xFFFF))] & _BULLET > 0
    last, dots = np.int64(-1), np.int64(0)
    while stop > start:
        at = stop - 1
        while at > start and data[at] & 0xC0 == 0x80:
            at -= 1
        entry, _ = character(data, at, stop, table)
        stop, point = at, np.int64(entry & LOWER)
        if entry >> KIND_AT & _KINDS == SPACE:
            continue
        last = min(point, np.int64(0xFFFF)) if last < 0 else last
        dots += point == _DOT
        if point != _DOT or dots == 3:
            break
    row[_ENDED_LINES] = marks[last] & _END > 0
    row[_ELLIPSIS_LINES] = last == _ELLIPSIS or dots == 3
    row[_LINES], row[_LINE_CHARACTERS] = 1, row[_CHARACTERS] - row[_SPACES]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _count_lines(
    data: Texts,
    start: int,
    stop: int,
    table: Table,
    marks: Texts,
    hashes: Hashes,
    lengths: Row,
    row: Row,
) -> int:
    """Write hash and length of each line, its spaces left out; return how many have any."""
    first = last = np.int64(0)
    length = dots = np.int64(0)
    line, count = _START, 0
    i = start
    while i <= stop:
        entry, width = character(data, i, stop, table) if i < stop else (_NEW_LINE_ENTRY, 1)
        i += width
        point = np.int64(entry & LOWER)
        if point == _NEW_LINE and length:
            hashes[count], lengths[count] = line, length
            count += 1
            row[_BULLET_LINES] += marks[first] & _BULLET > 0
            row[_ENDED_LINES] += marks[last] & _END > 0
            row[_ELLIPSIS_LINES] += last == _ELLIPSIS or dots >= 3
            row[_LINE_CHARACTERS] += length
            line, length, dots = _START, np.int64(0), np.int64(0)
        seen = np.int64(entry >> KIND_AT & _KINDS != SPACE)
        all_bits = np.uint64(-seen)  # no branch: where the next space is cannot be predicted
        line = line & ~all_bits | (line ^ np.uint64(point)) * _ODD & all_bits
        last = last & ~-seen | min(point, np.int64(0xFFFF)) & -seen
        first = first if length else last
        dots = (dots + seen) & -np.int64((seen == 0) | (point == _DOT))
        length += seen
    row[_LINES] = count
    return count


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _runs(words: Hashes, n: int) -> int:
    """Write over `words` the hash of each run of `n`; return how many there are."""
    count = max(len(words) - n + 1, 0)
    for i in range(count):
        run = words[i]
        for j in range(i + 1, i + n):
            run = (run ^ run >> _32) * _ODD_2 + words[np.uint64(j)]
        words[i] = run
    return count


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _copied(hashes: Hashes, weights: Row) -> int:
    """Return the weight of the hashes that stand before in the list: a set by open addressing."""
    size = np.uint64(4)
    while size < 2 * len(hashes):
        size *= np.uint64(2)
    places = np.zeros(size, np.uint64)
    copied = 0
    for i in range(len(hashes)):
        value = hashes[i] | _ONE  # 0 is a free place
        place = ((value ^ value >> _32) * _ODD >> _32) & (size - _ONE)
        while places[place] != 0 and places[place] != value:
            place = (place + _ONE) & (size - _ONE)
        copied += weights[i] if places[place] == value else 0
        places[place] = value
    return copied
