"""BM25: which texts share the query's rare words, long texts discounted (Robertson 1994).

A word of a query adds to the score of a text

    ln(1 + (N − n + ½) / (n + ½)) · f (k1 + 1) / (f + k1 (1 − b + b · length / mean length))

where n of N texts have it, and this one has it f times. The logarithm is Lucene's: it is never
negative, so that a word in most texts cannot count against them. Words are those of `minhash`.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.characters import character_table
from tamis.kernels.highest import highest
from tamis.kernels.lexemes import word_hashes
from tamis.kernels.spans import room_for

__all__ = ["Index", "best", "index_of"]

_TEXTS_TOGETHER = 4096

Offsets = npt.NDArray[np.int64]
Texts = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]


class Index(NamedTuple):
    """What each word adds to the score of each text that has it.

    Attributes
    ----------
    words : uint64 array of shape (v,)
        Hashes of the words, ascending.
    bounds : int64 array of shape (v + 1,)
        Word w is in the texts `rows[bounds[w]:bounds[w + 1]]`, ascending, and adds `weights`.
    rows : int64 array of shape (p,)
    weights : float64 array of shape (p,)
    texts : int
    """

    words: Hashes
    bounds: Offsets
    rows: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    texts: int


def index_of(offsets: Offsets, data: Texts, *, k1: float = 1.5, b: float = 0.75) -> Index:
    """Read texts once.

    Parameters
    ----------
    offsets : int64 array of shape (n + 1,)
    data : uint8 array
        Text i is `data[offsets[i]:offsets[i + 1]]`, UTF-8.
    k1 : float
        How much a second mention of a word adds.
    b : float
        How much long texts are discounted, 0 to 1.

    Notes
    -----
    Time O(words · log words), memory 40 bytes a word.
    """
    starts, hashes = _words(offsets, data)
    n = len(offsets) - 1
    lengths = np.diff(starts)
    words, terms = np.unique(hashes, return_inverse=True)
    pairs = terms * np.int64(n) + np.repeat(np.arange(n), lengths)
    pairs, often = np.unique(pairs, return_counts=True)
    term, rows = np.divmod(pairs, n) if n else (pairs, pairs)
    holders = np.bincount(term, minlength=len(words))
    rarity = np.log1p((n - holders + 0.5) / (holders + 0.5))
    long = 1 - b + b * lengths / max(lengths.mean(), 1e-9) if n else lengths
    weights = rarity[term] * often * (k1 + 1) / (often + k1 * long[rows])
    return Index(words, np.concatenate([[0], np.cumsum(holders)]), rows, weights, n)


def best(
    index: Index, offsets: Offsets, data: Texts, n: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the `n` texts with the highest scores for each query.

    A word that a query has twice counts twice.

    Returns
    -------
    rows : int64 array of shape (q, n)
        Best first, ties by lowest index; −1 where fewer texts share a word.
    scores : float64 array of shape (q, n)
        0 where there is no text.

    Examples
    --------
    >>> def texts(*all):
    ...     ends = np.cumsum([0, *map(len, all)])
    ...     return ends, np.frombuffer("".join(all).encode(), np.uint8)
    >>> index = index_of(*texts("the cat", "the dog", "a cat and a dog"))
    >>> best(index, *texts("cat", "horse"), n=2)[0].tolist()
    [[0, 2], [-1, -1]]
    """
    starts, hashes = _words(offsets, data)
    rows = np.full((len(offsets) - 1, n), -1, np.int64)
    found = np.zeros(rows.shape)
    scores = np.empty(index.texts)
    for query, (start, end) in enumerate(pairwise(starts.tolist())):
        asked = hashes[start:end]
        places = np.searchsorted(index.words, asked)
        known = places < len(index.words)
        known[known] = index.words[places[known]] == asked[known]
        _add_up(places[known], index.bounds, index.rows, index.weights, scores)
        top = highest(np.where(scores > 0, scores, -np.inf), n)
        rows[query, : len(top)], found[query, : len(top)] = top, scores[top]
    return rows, found


def _words(offsets: Offsets, data: Texts) -> tuple[Offsets, Hashes]:
    """Return the hashed words of all texts end to end, and where each text's start."""
    table = character_table()
    counts, parts = [np.zeros(1, np.int64)], [np.empty(0, np.uint64)]
    for first in range(0, len(offsets) - 1, _TEXTS_TOGETHER):
        count, words = _split(offsets[first : first + _TEXTS_TOGETHER + 1], data, table)
        counts.append(count)
        parts.append(words)
    return np.concatenate(counts).cumsum(), np.concatenate(parts)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _split(offsets: Offsets, data: Texts, table: npt.NDArray[np.uint32]) -> tuple[Offsets, Hashes]:
    counts = np.empty(len(offsets) - 1, np.int64)
    words = np.empty(offsets[-1] - offsets[0] + 1, np.uint64)
    room = room_for(np.diff(offsets).max())
    total = 0
    for text in range(len(counts)):
        start, stop = offsets[text], offsets[text + 1]
        counts[text] = word_hashes(data, start, stop, table, room, words[total:])
        total += counts[text]
    return counts, words[:total].copy()


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _add_up(
    terms: npt.NDArray[np.int64],
    bounds: Offsets,
    rows: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
) -> None:
    scores[:] = 0.0
    for term in terms:
        for place in range(bounds[term], bounds[term + 1]):
            scores[rows[place]] += weights[place]
