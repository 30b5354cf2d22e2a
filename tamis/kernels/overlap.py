"""Runs of words that texts share with texts of a list, such as a benchmark's questions.

A run is known by a 64-bit hash of its words (`tamis.kernels.words`: lower case, punctuation
apart); that two different runs share one is a matter of 1 in 10**10 for a list of a million.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.spans import GOLDEN, Room, extend, hash_words, room_for, run_hashes
from tamis.kernels.words import split, word_table

__all__ = ["known_runs", "shared_runs"]

_ONE, _32 = np.uint64(1), np.uint64(32)

Offsets = npt.NDArray[np.int64]
Texts = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]


def known_runs(
    offsets: Offsets, data: Texts, *, length: int, shortest: int
) -> tuple[Hashes, Counts]:
    """Return every run of `length` words of the texts, and which text has it first.

    A text of fewer words is one run, if it has at least `shortest`; else it has none.

    Parameters
    ----------
    offsets : int64 array of shape (n + 1,)
        Text i is the UTF-8 of `data[offsets[i] : offsets[i + 1]]`.
    data : uint8 array
    length, shortest : int

    Returns
    -------
    hashes : uint64 array, ascending, all different
    texts : int64 array of the same shape
    """
    n_words = int(np.diff(offsets).sum()) + 1  # a word has a byte
    hashes, texts = np.empty(n_words, np.uint64), np.empty(n_words, np.int64)
    count = _list_runs(offsets, data, word_table(), _room(offsets), length, shortest, hashes, texts)
    found, first = np.unique(hashes[:count], return_index=True)
    return found, texts[:count][first]


def shared_runs(
    offsets: Offsets, data: Texts, known: Hashes, *, length: int, shortest: int
) -> tuple[Counts, Counts, Counts]:
    """Find the known runs in texts.

    Parameters
    ----------
    offsets, data, length, shortest
        As in `known_runs`, of the texts to look through. Shorter runs are known too.
    known : uint64 array
        What `known_runs` gave.

    Returns
    -------
    covered : int64 array of shape (n,)
        Words of each text that are in a known run.
    words : int64 array of shape (n,)
        All its words.
    first : int64 array of shape (n,)
        Which known run comes first in it, as a position in `known`; -1 for none.

    Notes
    -----
    Time is that of hashing: a look at the table for each word and each length from
    `shortest` to `length`.
    """
    rows = len(offsets) - 1
    covered, words = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    first = np.full(rows, -1, np.int64)
    _find_runs(
        offsets, data, word_table(), _room(offsets), _table_of(known), known, length, shortest,
        covered, words, first,
    )  # fmt: skip
    return covered, words, first


def _room(offsets: Offsets) -> Room:
    return room_for(int(np.diff(offsets).max(initial=0)))  # type: ignore[no-any-return]


def _table_of(known: Hashes) -> Counts:
    """Return where each hash stands, by open addressing: position + 1, 0 for a free place."""
    size = 4
    while size < 2 * len(known):
        size *= 2
    return _fill_table(known, np.zeros(size, np.int64))  # type: ignore[no-any-return]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _fill_table(known: Hashes, table: Counts) -> Counts:
    for i in range(len(known)):
        place = _place(known[i], len(table))
        while table[place]:
            place = (place + 1) & (len(table) - 1)
        table[place] = i + 1
    return table


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _place(value: np.uint64, size: int) -> int:
    return int((value ^ value >> _32) * GOLDEN >> _32) & (size - 1)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _look_up(value: np.uint64, table: Counts, known: Hashes) -> int:
    place = _place(value, len(table))
    while table[place]:
        if known[table[place] - 1] == value:
            return int(table[place]) - 1
        place = (place + 1) & (len(table) - 1)
    return -1


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _list_runs(
    offsets: Offsets, data: Texts, table: npt.NDArray[np.uint32], room: Room,
    length: int, shortest: int, hashes: Hashes, texts: Counts,
) -> int:  # fmt: skip
    count = 0
    for row in range(len(offsets) - 1):
        words = split(data, offsets[row], offsets[row + 1], table, room)
        if words < shortest:
            continue
        alone = np.empty(words, np.uint64)
        hash_words(room, words, alone)
        runs = run_hashes(alone, min(length, words), hashes[count:])
        texts[count : count + runs] = row
        count += runs
    return count


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _find_runs(
    offsets: Offsets, data: Texts, table: npt.NDArray[np.uint32], room: Room,
    places: Counts, known: Hashes, length: int, shortest: int,
    covered: Counts, words: Counts, first: Counts,
) -> None:  # fmt: skip
    for row in range(len(offsets) - 1):
        words[row] = split(data, offsets[row], offsets[row + 1], table, room)
        alone = np.empty(words[row], np.uint64)
        hash_words(room, words[row], alone)
        runs = alone.copy()
        marks = np.zeros(words[row], np.bool_)
        earliest = words[row]
        for size in range(1, min(length, words[row]) + 1):
            if size > 1:
                runs = runs[:-1]
                extend(runs, alone[size - 1 :])
            if size < shortest:
                continue
            for begin in range(len(runs)):
                at = _look_up(runs[begin], places, known)
                if at >= 0:
                    marks[begin : begin + size] = True
                    if begin < earliest:
                        earliest, first[row] = begin, at
        covered[row] = marks.sum()
