"""MinHash with bands: which texts share most of their word n-grams, without comparing all.

A text is the set of its shingles, the runs of `ngram` words, each as a 32-bit hash. The
least value of a random permutation agrees between two sets with probability J, their
Jaccard similarity (Broder 1997), so `bands` groups of `rows` permutations agree on a whole
group with probability 1 − (1 − J^rows)^bands (Indyk and Motwani 1998). Texts that agree on
a group are candidates; the sets themselves then tell.

Words are those of `tamis.kernels.lexemes`. A text of fewer words than `ngram` has one shingle,
all of it; one without words has none.

The permutations are x ↦ a x + b mod 2³², a odd: bijections of the 32-bit hashes that one
instruction applies to 8 or 16 lanes, so that all of them cost less than reading the text.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.lexemes import split_at_spaces, word_hashes
from tamis.kernels.spans import ODD, Room, mixed, room_for, run_hashes, scrambled, word_hash

__all__ = [
    "agreement",
    "band_keys",
    "bands_for",
    "jaccard",
    "permutations",
    "shingle_sets",
    "signatures",
    "text_keys",
]

_MOST_HASHES = 128
_SEED = 0x7A15
_START = np.uint64(0xCBF29CE484222325)
_32, _33 = np.uint64(32), np.uint64(33)
_ONES = np.uint32(0xFFFFFFFF)
_BYTE = np.uint32(255)
_FEW = 32

Texts = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
Table = npt.NDArray[np.uint32]


def agreement(similarity: float, bands: int, rows: int) -> float:
    """Return the probability that two sets of Jaccard `similarity` agree on a whole band.

    >>> round(agreement(0.8, bands=14, rows=8), 4)
    0.9235
    """
    return 1 - (1 - similarity**rows) ** bands


def bands_for(near: float, recall: float) -> tuple[int, int]:
    """Return the bands and rows that find a pair of Jaccard `near` with probability `recall`.

    More rows give fewer false candidates and need more bands: as many rows are taken as
    128 hashes allow, and one where they allow none.

    >>> bands_for(0.8, 0.99)
    (16, 6)
    """
    rows = 1
    while (rows + 1) * _bands(near, recall, rows + 1) <= _MOST_HASHES:
        rows += 1
    return _bands(near, recall, rows), rows


def _bands(near: float, recall: float, rows: int) -> int:
    agreed = near**rows
    return 1 if agreed == 1 else math.ceil(math.log1p(-recall) / math.log1p(-agreed))


def permutations(count: int) -> npt.NDArray[np.uint32]:
    """Return the factors a (odd) and terms b of `count` permutations: uint32 of shape (2, count).

    They are always the same ones, so that signatures can be compared between runs.
    """
    drawn = np.random.default_rng(_SEED).integers(2**32, size=(2, count), dtype=np.uint32)
    drawn[0] |= 1
    return drawn


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def text_keys(offsets: Offsets, data: Texts, table: Table) -> npt.NDArray[np.uint64]:
    """Return a 128-bit hash of each text in lower case with its white space collapsed.

    Leading and trailing space does not count; a run of space counts as one. Bring the texts
    to Unicode's normal form C first, where that should not count either.

    Parameters
    ----------
    offsets : int64 array of shape (n + 1,)
    data : uint8 array
        Text i is `data[offsets[i]:offsets[i + 1]]`, UTF-8.
    table : uint32 array
        `characters.character_table()`.

    Returns
    -------
    uint64 array of shape (n, 2)
    """
    keys = np.empty((len(offsets) - 1, 2), np.uint64)
    room = room_for(_longest(offsets))
    for text in range(len(keys)):
        first = second = _START
        for run in range(split_at_spaces(data, offsets[text], offsets[text + 1], table, room)):
            said = word_hash(room.text, room.begins[run], room.ends[run])
            other = word_hash(room.text, room.begins[run], room.ends[run], ODD)
            first, second = mixed(first, said), mixed(second, other, ODD)
        keys[text, 0], keys[text, 1] = scrambled(first), scrambled(second)
    return keys


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def signatures(
    offsets: Offsets, data: Texts, table: Table, ngram: int, permutations: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32]]:
    """Return the MinHash signature of each text, and how many shingles it has, copies counted.

    Parameters
    ----------
    offsets, data, table : as for `text_keys`
    ngram : int
        Words a shingle, at least 1.
    permutations : uint32 array of shape (2, P)

    Returns
    -------
    signatures : uint32 array of shape (n, P)
        The share of places where two agree estimates the Jaccard similarity J of their
        shingles without bias, with standard error sqrt(J (1 − J) / P). 2³² − 1 throughout
        for a text without words.
    counts : int32 array of shape (n,)

    Notes
    -----
    Time O(bytes + P · words); memory 39 bytes a byte of the longest text, as if every byte of
    it were a word.
    """
    n = len(offsets) - 1
    signed, counts = np.empty((n, permutations.shape[1]), np.uint32), np.empty(n, np.int32)
    room, words, runs, shingles = _room(offsets)
    for text in range(n):
        found = word_hashes(data, offsets[text], offsets[text + 1], table, room, words)
        counts[text] = _shingles(words[:found], ngram, runs, shingles)
        _sign(shingles[: counts[text]], permutations[0], permutations[1], signed[text])
    return signed, counts


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def band_keys(signatures: npt.NDArray[np.uint32], bands: int) -> npt.NDArray[np.uint64]:
    """Return for each band and text one number that stands for the band of its signature.

    Returns
    -------
    uint64 array of shape (bands, n)
        Texts that agree on a whole band have the same number in it. Permutations that are
        left over (P mod bands) are not used.
    """
    n, hashes = signatures.shape
    rows = hashes // bands
    keys = np.empty((bands, n), np.uint64)
    for text in range(n):
        for band in range(bands):
            key = _START
            for row in range(band * rows, (band + 1) * rows):
                key = scrambled(key ^ np.uint64(signatures[text, row]))
            keys[band, text] = key
    return keys


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def shingle_sets(
    offsets: Offsets, data: Texts, table: Table, ngram: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Return the set of shingles of each text, as ascending 32-bit hashes.

    Returns
    -------
    bounds : int64 array of shape (n + 1,)
    hashes : uint32 array
        The set of text i is `hashes[bounds[i]:bounds[i + 1]]`.

    Notes
    -----
    Two shingles share a hash once in 2³²: the similarity of two texts of a million words
    is off by less than 0.001.
    """
    n = len(offsets) - 1
    bounds = np.zeros(n + 1, np.int64)
    hashes = np.empty(offsets[n] - offsets[0] + n, np.uint32)
    room, words, runs, shingles = _room(offsets)
    spare = np.empty_like(shingles)
    for text in range(n):
        found = word_hashes(data, offsets[text], offsets[text + 1], table, room, words)
        count = _shingles(words[:found], ngram, runs, shingles)
        _sort(shingles[:count], spare)
        end = bounds[text]
        for s in range(count):
            if s == 0 or shingles[s] != shingles[s - 1]:
                hashes[end] = shingles[s]
                end += 1
        bounds[text + 1] = end
    return bounds, hashes[: bounds[n]].copy()


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def jaccard(left: npt.NDArray[np.uint32], right: npt.NDArray[np.uint32]) -> float:
    """Return |left ∩ right| / |left ∪ right| of two ascending sets; 0 where both are empty.

    >>> jaccard(np.array([1, 2, 3], np.uint32), np.array([2, 3, 4], np.uint32))
    0.5
    """
    i = j = both = 0
    while i < len(left) and j < len(right):
        both += left[i] == right[j]
        here, there = left[i] <= right[j], right[j] <= left[i]
        i += here
        j += there
    either = len(left) + len(right) - both
    return both / either if either else 0.0


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _room(
    offsets: Offsets,
) -> tuple[Room, npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    """Return what a text is worked on in: its words' hashes, those of runs, and its shingles."""
    most = _longest(offsets) + 1
    words, runs = np.empty(most, np.uint64), np.empty(most, np.uint64)
    return room_for(most), words, runs, np.empty(most, np.uint32)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _longest(offsets: Offsets) -> int:
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    return int(longest)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _shingles(
    words: npt.NDArray[np.uint64],
    n: int,
    runs: npt.NDArray[np.uint64],
    out: npt.NDArray[np.uint32],
) -> int:
    """Write the hash of each run of `n` words to `out`, or of fewer where all are; how many."""
    if len(words) == 0:
        return 0
    count = run_hashes(words, min(n, len(words)), runs)
    for i in range(count):
        out[i] = scrambled(runs[i]) >> _32
    return int(count)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _sort(values: npt.NDArray[np.uint32], spare: npt.NDArray[np.uint32]) -> None:
    """Sort by radix, a byte at a time, as long as `values` are many; four times as fast."""
    if len(values) < _FEW:
        values.sort()
        return
    places = np.empty(256, np.int64)
    source, target = values, spare
    for shift in range(0, 32, 8):
        places[:] = 0
        for value in source[: len(values)]:
            places[value >> np.uint32(shift) & _BYTE] += 1
        start = 0
        for byte in range(256):
            places[byte], start = start, start + places[byte]
        for value in source[: len(values)]:
            byte = value >> np.uint32(shift) & _BYTE
            target[places[byte]] = value
            places[byte] += 1
        source, target = target, source  # after four turns the sorted are in `values`


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _sign(
    shingles: npt.NDArray[np.uint32],
    a: npt.NDArray[np.uint32],
    b: npt.NDArray[np.uint32],
    signature: npt.NDArray[np.uint32],
) -> None:
    """Write to `signature` the least value of each permutation over the shingles."""
    signature[:] = _ONES
    whole = len(shingles) - len(shingles) % 4
    for s in range(0, whole, 4):  # four at a time: the signature is read and written less often
        x0, x1, x2, x3 = shingles[s], shingles[s + 1], shingles[s + 2], shingles[s + 3]
        for p in range(len(signature)):
            h0, h1 = np.uint32(a[p] * x0 + b[p]), np.uint32(a[p] * x1 + b[p])
            h2, h3 = np.uint32(a[p] * x2 + b[p]), np.uint32(a[p] * x3 + b[p])
            signature[p] = min(signature[p], min(min(h0, h1), min(h2, h3)))
    for s in range(whole, len(shingles)):
        x = shingles[s]
        for p in range(len(signature)):
            signature[p] = min(signature[p], np.uint32(a[p] * x + b[p]))
