"""Hashed n-grams of texts: how many fall in each bucket, and sums of values by bucket.

A text is split into words (`tamis.kernels.words`); each run of 1 to `orders` words is
hashed to a bucket. Of an n-gram nothing is made but its hash, of a text nothing is kept but
its sum, so memory is that of the longest text.

What it costs, in ns a byte (x86-64 at about 4 GHz, English of 4.6 bytes a word, orders = 2):
splitting 0.5; a word's hash, a multiplication for every 8 bytes, 0.35; joining hashes to
n-grams and reducing them to buckets, in vectors, 0.1; adding in a table of 10,000, which
stays in the second-level cache, 0.3. That is 1.25, or 800 MB/s; texts with little ASCII take four
times as much. SHA-256 takes 5 more: of two look-ups a word in 8 MB most wait for the third-level
cache, and one in ten meets an n-gram that must be digested, 50 ns.
"""

import threading
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.sha256 import sha256_mod
from tamis.kernels.spans import GOLDEN, Room, hash_words, mixed, room_for
from tamis.kernels.words import split, word_table

__all__ = ["Hash", "bucket_counts", "bucket_sums"]

Hash = Literal["fast", "sha256"]
"""'fast' is 64-bit multiply and xor-shift; 'sha256' that of the n-gram's words joined by spaces."""

_ONE, _32 = np.uint64(1), np.uint64(32)
_CHUNK = 1 << 13  # bytes of text worked on together: what is made of them stays in the caches
_MEMO_SLOTS = 1 << 20
_memos = threading.local()


def bucket_counts(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    *,
    orders: int,
    buckets: int,
    hash: Hash = "fast",
) -> npt.NDArray[np.int64]:
    """Count the n-grams of all texts together, by bucket.

    Parameters
    ----------
    offsets : int64 array of shape (n + 1,)
        Text i is the UTF-8 of `data[offsets[i] : offsets[i + 1]]`.
    data : uint8 array
    orders : int
        n-grams of 1 to this many words.
    buckets : int
        Up to 2**28; all orders share them.
    hash : {'fast', 'sha256'}

    Returns
    -------
    int64 array of shape (buckets,)

    Examples
    --------
    >>> data = np.frombuffer(b"Alice went to the store", np.uint8)
    >>> int(bucket_counts(np.array([0, 23]), data, orders=2, buckets=100).sum())
    9
    """
    counts = np.zeros(buckets, np.int64)
    _add_counts(offsets, data, *_room(offsets, orders, buckets, hash), counts)
    return counts


def bucket_sums(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    values: npt.NDArray[np.float64],
    *,
    orders: int,
    hash: Hash = "fast",
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Sum the value of every n-gram's bucket, text by text.

    Parameters
    ----------
    offsets, data, orders, hash
        As in `bucket_counts`.
    values : float64 array of shape (buckets,)

    Returns
    -------
    sums : float64 array of shape (n,)
        Added up in the order of the words, one order after the other: a text has the same
        sum in any batch.
    words : int64 array of shape (n,)
        Words of each text.
    """
    sums = np.empty(len(offsets) - 1)
    words = np.empty(len(offsets) - 1, np.int64)
    _write_sums(offsets, data, *_room(offsets, orders, len(values), hash), values, sums, words)
    return sums, words


def _room(offsets: npt.NDArray[np.int64], orders: int, buckets: int, hash: Hash) -> tuple[Any, ...]:
    """Return the table and the arrays that a kernel works in."""
    n_bytes = max(int(np.diff(offsets).max(initial=0)), _CHUNK)
    grams = np.empty((orders, n_bytes + 1), np.uint64)
    firsts = np.empty(len(offsets), np.int64)
    memo = _memo(buckets) if hash == "sha256" else None  # with None SHA-256 is not compiled
    return word_table(), room_for(n_bytes), grams, firsts, memo


def _memo(buckets: int) -> npt.NDArray[np.uint64]:
    """Return this thread's memory of n-grams' SHA-256 buckets: 8 MB.

    A slot is an n-gram's fast hash, its low bits replaced by the bucket plus 1; which slot it
    is tells those bits. A newcomer takes the slot over. So a bucket is wrong only where two
    n-grams share all 64 bits (fewer, from 2**20 buckets on).
    """
    if getattr(_memos, "buckets", None) != buckets:
        _memos.buckets, _memos.slots = buckets, np.zeros(_MEMO_SLOTS, np.uint64)
    return _memos.slots  # type: ignore[no-any-return]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _add_counts(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    table: npt.NDArray[np.uint32],
    room: Room,
    grams: npt.NDArray[np.uint64],
    firsts: npt.NDArray[np.int64],
    memo: npt.NDArray[np.uint64] | None,
    counts: npt.NDArray[np.int64],
) -> None:
    row = 0
    while row < len(offsets) - 1:
        rows = _split_chunk(offsets[row:], data, table, room, firsts)
        _write_buckets(room, firsts[rows], memo, len(counts), grams)
        for i in range(rows):
            for order in range(len(grams)):
                for word in range(firsts[i] + order, firsts[i + 1]):
                    counts[grams[order, word]] += 1
        row += rows


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _write_sums(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    table: npt.NDArray[np.uint32],
    room: Room,
    grams: npt.NDArray[np.uint64],
    firsts: npt.NDArray[np.int64],
    memo: npt.NDArray[np.uint64] | None,
    values: npt.NDArray[np.float64],
    sums: npt.NDArray[np.float64],
    words: npt.NDArray[np.int64],
) -> None:
    row = 0
    while row < len(offsets) - 1:
        rows = _split_chunk(offsets[row:], data, table, room, firsts)
        _write_buckets(room, firsts[rows], memo, len(values), grams)
        for i in range(rows):
            total = 0.0
            for order in range(len(grams)):
                for word in range(firsts[i] + order, firsts[i + 1]):
                    total += values[grams[order, word]]
            sums[row + i], words[row + i] = total, firsts[i + 1] - firsts[i]
        row += rows


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _split_chunk(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    table: npt.NDArray[np.uint32],
    room: Room,
    firsts: npt.NDArray[np.int64],
) -> int:
    """Split the first texts, one and as many as fit in a chunk; return how many.

    Text i has the words from `firsts[i]` up to `firsts[i + 1]`.
    """
    firsts[0] = rows = 0
    while rows < len(offsets) - 1:
        start, stop = offsets[rows], offsets[rows + 1]
        if rows and stop - offsets[0] > _CHUNK:
            break
        firsts[rows + 1] = split(data, start, stop, table, room, firsts[rows])
        rows += 1
    return rows


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _write_buckets(
    room: Room,
    words: int,
    memo: npt.NDArray[np.uint64] | None,
    buckets: int,
    grams: npt.NDArray[np.uint64],
) -> None:
    """Write to `grams[order, word]` the bucket of the `order` + 1 words that end there.

    That some of these words belong to the text before does no harm: they are not counted.
    """
    hash_words(room, words, grams[0])
    for order in range(1, len(grams)):
        _join(grams[order - 1, : words - 1], grams[0, 1:words], grams[order, 1:words])
    for order in range(len(grams)):
        if memo is None:
            _reduce(grams[order, :words], buckets)
        else:
            _look_up(room, order, words, memo, buckets, grams[order])


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _join(
    before: npt.NDArray[np.uint64], last: npt.NDArray[np.uint64], joined: npt.NDArray[np.uint64]
) -> None:
    """Write the hash of each n-gram and the word after it: whole rows, which go in vectors."""
    for i in range(len(joined)):
        joined[i] = mixed(before[i] + GOLDEN, last[i])


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _reduce(hashes: npt.NDArray[np.uint64], buckets: int) -> None:
    """Replace hashes by buckets."""
    for i in range(len(hashes)):
        spread = mixed(hashes[i], GOLDEN)
        hashes[i] = (spread >> _32) * np.uint64(buckets) >> _32


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _look_up(
    room: Room,
    order: int,
    words: int,
    memo: npt.NDArray[np.uint64],
    buckets: int,
    grams: npt.NDArray[np.uint64],
) -> None:
    """Replace fast hashes of n-grams by SHA-256 buckets, from memory where they are there."""
    low, last_slot = np.uint64(1), np.uint64(len(memo) - 1)
    while low <= buckets:
        low = low << _ONE | _ONE
    slots = np.empty(words, np.uint64)
    for word in range(order, words):  # alone in its loop, so that many wait for memory at once
        slots[word] = memo[grams[word] & last_slot]
    keys, missed = np.empty(words, np.uint64), np.empty(words, np.int64)
    misses = 0
    for word in range(order, words):
        keys[misses], missed[misses] = grams[word], word
        misses += ((slots[word] ^ grams[word]) > low) | (slots[word] & low == 0)
        grams[word] = (slots[word] & low) - _ONE
    found = np.empty(misses, np.int64)
    said, borders = _joined(room, missed[:misses], order)
    sha256_mod(said, borders[:-1], borders[1:], buckets, found)
    for i in range(misses):
        grams[missed[i]] = found[i]
        memo[keys[i] & last_slot] = (keys[i] & ~low) | np.uint64(found[i] + 1)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _joined(
    room: Room, lasts: npt.NDArray[np.int64], order: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return n-grams, their words joined by spaces, one after the other, and where each begins."""
    borders = np.zeros(len(lasts) + 1, np.int64)
    for i in range(len(lasts)):
        length = order
        for word in range(lasts[i] - order, lasts[i] + 1):
            length += room.ends[word] - room.begins[word]
        borders[i + 1] = borders[i] + length
    said = np.full(borders[-1], 0x20, np.uint8)
    for i in range(len(lasts)):
        at = borders[i]
        for word in range(lasts[i] - order, lasts[i] + 1):
            for j in range(room.begins[word], room.ends[word]):
                said[at] = room.text[j]
                at += 1
            at += 1
    return said, borders
