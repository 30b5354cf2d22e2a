"""Counts that tell good text from bad: words, symbols, broken characters, copies of itself.

What is a word, a letter or a symbol is said in `characters`. A text is gone over for its
characters, its words and its lines, each time 64 bytes of ASCII at once (`blocks`).
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.blocks import (
    BLOCK,
    blank,
    controls,
    first_one,
    letters,
    ones,
    only_first,
    within,
    wordlike,
)
from tamis.kernels.characters import (
    BROKEN,
    KIND_AT,
    LETTER,
    LOWER,
    SCRIPT_AT,
    SCRIPTS,
    SPACE,
    WORD,
    character,
    character_table,
)
from tamis.kernels.lexemes import split, split_lines
from tamis.kernels.spans import Room, hash_words, room_for, run_hashes, scrambled, word_hash
from tamis.kernels.utf8 import FEW, has_longer, inner, long_point, whole

__all__ = ["COUNTS", "openings", "text_counts"]

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
_DOT, _ELLIPSIS, _HASH, _TICK = map(ord, ".…#`")

_NONE, _ONE, _8, _40 = map(np.uint64, (0, 1, 8, 40))
_KINDS = np.uint32(7)
_TAG, _TURNS = np.uint64((1 << 40) - 1), (1 << 24) - 2
_LATIN = list(SCRIPTS).index("Latin")

_BULLET, _END = 1, 2

Offsets = npt.NDArray[np.int64]
Texts = npt.NDArray[np.uint8]
Table = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
Row = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]


class _Seen(NamedTuple):
    """A set of hashes by open addressing, which is emptied by another `turn`.

    A place holds the turn, 1 or more, in its upper 24 bits and 40 bits of a hash in the others.
    """

    places: npt.NDArray[np.uint64]
    turn: np.uint64
    last: np.uint64  # the last place in use: a power of two, less one


class _Work(NamedTuple):
    """What a text is worked on in: a place for each of its first words, and a set's places."""

    hashes: npt.NDArray[np.uint64]
    runs: npt.NDArray[np.uint64]
    places: npt.NDArray[np.uint64]


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
        Words in a run, at least 1. None counts neither runs nor lines: a third of the time.

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
def openings(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    r"""Return the first letter from A to Z of each text, and the byte after it.

    Returns
    -------
    uint8 array of shape (n, 2)
        In lower case; 0 where there is none.

    Examples
    --------
    >>> data = np.frombuffer(b"1. No! I", np.uint8)
    >>> openings(np.array([0, 6, 8]), data).tobytes()
    b'noi\x00'
    """
    found = np.zeros((len(offsets) - 1, 2), np.uint8)
    for text in range(len(found)):
        count = 0
        for i in range(offsets[text], offsets[text + 1]):
            byte = data[np.uint64(i)]
            letter = 0x61 <= byte | 0x20 <= 0x7A
            if count or letter:
                found[text, count] = byte | 0x20 if letter else byte
                count += 1
            if count == 2:
                break
    return found


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _counted(
    offsets: Offsets, data: Texts, table: Table, marks: Texts, asked: Flags, ngram: int
) -> Counts:
    counts = np.zeros((len(offsets) - 1, len(COUNTS)), np.int64)
    n_bytes = 0
    for text in range(len(counts)):
        n_bytes = max(n_bytes, offsets[text + 1] - offsets[text])
    room = room_for(n_bytes)
    most = min(n_bytes, _MOST_WORDS)
    hashes, runs = np.empty(most, np.uint64), np.empty(most, np.uint64)
    work = _Work(hashes, runs, np.zeros(_places_for(most), np.uint64))
    for text in range(len(counts)):
        start, stop, row = offsets[text], offsets[text + 1], counts[text]
        _count_characters(data, start, stop, table, asked, row)
        row[_WORDS] = split(data, start, stop, table, room)
        longest = _most_bytes(room.begins[: row[_WORDS]], room.ends[: row[_WORDS]])
        if longest < 2 or row[_CHARACTERS] < stop - start:  # else all is ASCII
            longest = _longest_word(room, row[_WORDS], table)
        row[_LONGEST_WORD] = longest
        if ngram:
            turn = np.uint64(1 + 2 * text % _TURNS)
            _count_copied_runs(room, min(row[_WORDS], _MOST_WORDS), ngram, work, turn, row)
            lines = split_lines(data, start, stop, table, room)
            _count_lines(room, lines, table, marks, work.places, turn + _ONE, row)
    return counts


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _count_characters(
    data: Texts, start: int, stop: int, table: Table, asked: Flags, row: Row
) -> None:
    """Count what needs no more than the character and the two before it."""
    before = before_that = np.int64(0)
    i = start
    while i < stop:
        n, leads = whole(data, i, stop)
        if n:
            n = _count_block(data, i, n, before, asked, row)
        if n:
            _count_long(data, i, leads & only_first(n), start, stop, table, asked, row)
            i += n
            before, before_that = np.int64(data[i - 1]), np.int64(-1)
            continue
        pause = min(i + FEW, stop)
        while i < pause:
            entry, width = character(data, i, stop, table)
            row[_CHARACTERS] += 1
            kind, script = entry >> KIND_AT & _KINDS, entry >> SCRIPT_AT
            row[_SPACES] += kind == SPACE
            row[_LETTERS] += (kind == WORD) | (kind == LETTER)
            row[_BROKEN] += kind == BROKEN
            row[_SCRIPT_LETTERS] += script != 0
            row[_FOREIGN_LETTERS] += not asked[script]
            point = np.int64(entry & LOWER)
            if width > 1:
                row[_HASHES] += point == _ELLIPSIS
                row[_BROKEN] += _misread(data, i, start, stop)
            else:
                row[_HASHES] += point == _HASH
                if point == before == before_that:
                    row[_HASHES] += point == _DOT
                    row[_FENCES] += point == _TICK
                    point = np.int64(-1)  # six ticks are two fences
            before, before_that = point, before
            i += width


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _count_block(data: Texts, at: int, n: int, before: int, asked: Flags, row: Row) -> int:
    """Count the characters in `n` bytes, and what those of ASCII are, at once; return how many.

    Fewer, or none, where two dots or two ticks stand together, which may be three.
    """
    dots, ticks = within(data, at, _DOT, 1), within(data, at, _TICK, 1)
    twice = dots & (dots << _ONE | np.uint64(before == _DOT))
    twice |= ticks & (ticks << _ONE | np.uint64(before == _TICK))
    if twice:
        n = min(n, first_one(twice) - 1)
        if n <= 0:
            return 0
    valid = only_first(n)
    latin = ones(letters(data, at) & valid)
    row[_CHARACTERS] += n - ones(inner(data, at) & valid)
    row[_SPACES] += ones(blank(data, at) & valid)
    row[_LETTERS] += ones(wordlike(data, at) & valid)
    row[_SCRIPT_LETTERS] += latin
    row[_FOREIGN_LETTERS] += latin * (not asked[_LATIN])
    row[_BROKEN] += ones(controls(data, at) & valid)
    row[_HASHES] += ones(within(data, at, _HASH, 1) & valid)
    return n


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _count_long(
    data: Texts,
    at: int,
    leads: np.uint64,
    start: int,
    stop: int,
    table: Table,
    asked: Flags,
    row: Row,
) -> None:
    """Count what the characters beyond ASCII of a block are."""
    kinds = of_script = foreign = _NONE  # of each kind how many, in eight bits: 32 at most
    longer = has_longer(data, at)
    while leads:
        place = at + first_one(leads)
        leads &= leads - _ONE
        point = long_point(data, place, longer)
        entry = table[np.uint64(point)]
        kinds += _ONE << _8 * np.uint64(entry >> KIND_AT & _KINDS)
        script = np.uint64(entry >> SCRIPT_AT)
        of_script += np.uint64(script != _NONE)
        foreign += np.uint64(not asked[script])
        row[_HASHES] += point == _ELLIPSIS
        row[_BROKEN] += _misread(data, place, start, stop)
    row[_SPACES] += _of_kind(SPACE, kinds)
    row[_LETTERS] += _of_kind(WORD, kinds) + _of_kind(LETTER, kinds)
    row[_BROKEN] += _of_kind(BROKEN, kinds)
    row[_SCRIPT_LETTERS] += of_script
    row[_FOREIGN_LETTERS] += foreign


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _of_kind(kind: int, kinds: np.uint64) -> int:
    return int(kinds >> np.uint64(8 * kind) & np.uint64(0xFF))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _most_bytes(begins: Offsets, ends: Offsets) -> int:
    """Return the bytes of the longest word."""
    most = 0
    for word in range(len(begins)):
        most = max(most, ends[word] - begins[word])
    return most


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _longest_word(room: Room, words: int, table: Table) -> int:
    """Return the characters of the longest word that is not one by itself, as a Han one is."""
    longest = 0
    for word in range(words):
        begin, end = room.begins[word], room.ends[word]
        if end - begin > longest:
            entry, width = character(room.text, begin, end, table)
            if begin + width < end or entry >> KIND_AT & _KINDS == WORD:
                longest = max(longest, _characters(room.text, begin, end))
    return longest


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _characters(text: Texts, begin: int, end: int) -> int:
    """Return how many characters `text[begin:end]` has; a block more is read."""
    count = end - begin
    for at in range(begin, end, BLOCK):
        inside = within(text, at, 0x80, 0x40) & only_first(min(end - at, BLOCK))
        count -= ones(inside)
    return count


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
def _count_lines(
    room: Room, lines: int, table: Table, marks: Texts, places: Hashes, turn: np.uint64, row: Row
) -> None:
    """Count lines, written to `room` without their spaces."""
    if lines > _MOST_WORDS:
        places = np.zeros(_places_for(lines), np.uint64)
    seen = _Seen(places, turn, np.uint64(_places_for(lines) - 1))
    text = room.text
    for line in range(lines):
        begin, end = room.begins[line], room.ends[line]
        if begin == end:
            continue
        first, _ = character(text, begin, end, table)
        at = end - 1
        while at > begin and text[at] & 0xC0 == 0x80:
            at -= 1
        entry, _ = character(text, at, end, table)
        last = _marked(entry)
        dots = end - begin >= 3 and text[end - 1] == text[end - 2] == text[end - 3] == _DOT
        length = _characters(text, begin, end)
        row[_LINES] += 1
        row[_BULLET_LINES] += marks[_marked(first)] & _BULLET > 0
        row[_ENDED_LINES] += marks[last] & _END > 0
        row[_ELLIPSIS_LINES] += last == _ELLIPSIS or dots
        row[_LINE_CHARACTERS] += length
        # A line may differ from another in its last character only.
        if lines > 1 and _is_copy(scrambled(word_hash(text, begin, end)), seen):
            row[_COPIED_LINE_CHARACTERS] += length


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _marked(entry: np.uint32) -> np.int64:
    """Return where a character stands in the marks."""
    return min(np.int64(entry & LOWER), np.int64(0xFFFF))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _count_copied_runs(
    room: Room, words: int, n: int, work: _Work, turn: np.uint64, row: Row
) -> None:
    """Count the runs of `n` of the first `words`."""
    seen = _Seen(work.places, turn, np.uint64(_places_for(words) - 1))
    hash_words(room, words, work.hashes)
    row[_NGRAMS] = run_hashes(work.hashes[:words], n, work.runs)
    runs = work.runs[: row[_NGRAMS]]
    for i in range(len(runs)):
        runs[i] = scrambled(runs[i])
    copied = 0
    for run in runs:
        copied += _is_copy(run, seen)
    row[_COPIED_NGRAMS] = copied


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _places_for(count: int) -> int:
    """Return how many places a set of `count` hashes has: eight for each, so that few meet."""
    places = 64
    while places < 8 * count:
        places *= 2
    return places


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _is_copy(spread: np.uint64, seen: _Seen) -> bool:
    """Say whether a hash, all its bits mixed, is in a set; put it there."""
    entry = seen.turn << _40 | spread & _TAG
    place = spread >> _40 & seen.last
    while seen.places[place] >> _40 == seen.turn:
        if seen.places[place] == entry:
            return True
        place = (place + _ONE) & seen.last
    seen.places[place] = entry
    return False
