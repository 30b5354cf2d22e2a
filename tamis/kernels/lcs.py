"""ROUGE-L of one text against many, by longest common subsequences on bit vectors.

With ℓ the length of the longest common subsequence of two lists of m and n words, precision
is ℓ / n, recall ℓ / m, and F, their harmonic mean, is 2 ℓ / (m + n).

The row of the dynamic programme is a bit vector V, one bit a word of the query, so that a
word of the other text costs a few instructions for 64 words of the query (Hyyrö 2004, 'Bit-
parallel LCS-length computation revisited'):

    U = V & places of the word in the query;  V = (V + U) | (V − U);  ℓ = zeros of V

Most texts are never looked at. A text's sign has one of 128 bits set for each of its words,
and its slack is how many more words than bits it has. Two texts can have no more words in
common than their signs have bits in common and the lesser slack beside: that costs a few
instructions a text.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["SIGN_WORDS", "nearest", "sign"]

SIGN_WORDS = 2
_ALL, _ZERO, _ONE = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(0), np.uint64(1)
_SPREAD, _57, _6, _63 = np.uint64(0x9E3779B97F4A7C15), np.uint64(57), np.uint64(6), np.uint64(63)
_55, _33 = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_0F, _01 = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
_2, _4, _56 = np.uint64(2), np.uint64(4), np.uint64(56)

Words = npt.NDArray[np.int32]
Bits = npt.NDArray[np.uint64]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def sign(words: Words) -> tuple[Bits, int]:
    """Return the sign of a text, uint64 of shape (2,), and its slack."""
    bits = np.zeros(SIGN_WORDS, np.uint64)
    for word in words:
        place = np.uint64(word) * _SPREAD >> _57
        bits[place >> _6] |= _ONE << (place & _63)
    return bits, len(words) - _ones(bits[0]) - _ones(bits[1])


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def nearest(
    query: Words,
    words: Words,
    starts: npt.NDArray[np.int64],
    signs: Bits,
    slacks: npt.NDArray[np.int32],
    at_least: float,
    slots: Words,
) -> tuple[int, int]:
    """Return the text with the greatest ROUGE-L F to the query, and their common length.

    Parameters
    ----------
    query : int32 array of shape (m,)
        The words of a text, as numbers from 0.
    words : int32 array
        Text i is `words[starts[i]:starts[i + 1]]`.
    starts : int64 array of shape (n + 1,)
    signs : uint64 array of shape (n, 2)
    slacks : int32 array of shape (n,)
        What `sign` says of each text.
    at_least : float
        Texts of a lower F do not count; above 0, the higher the quicker.
    slots : int32 array
        As long as there are words, all -1; it is so again afterwards.

    Returns
    -------
    position : int
        The lowest of those with the greatest F; -1 where none has `at_least`, or a word
        in common.
    length : int
        Of their longest common subsequence; 0 for none.

    Notes
    -----
    Time O(n), and O(m / 64) for each word of a text that the bound lets through.

    Examples
    --------
    >>> query = np.array([0, 1, 2, 3, 4], np.int32)
    >>> words, starts = np.array([0, 1, 9, 1, 2, 3, 0], np.int32), np.array([0, 3, 7])
    >>> (first, _), (second, _) = sign(words[0:3]), sign(words[3:7])
    >>> signs, slacks = np.stack([first, second]), np.zeros(2, np.int32)
    >>> nearest(query, words, starts, signs, slacks, 0.0, np.full(10, -1, np.int32))
    (1, 3)
    """
    m = len(query)
    places, width = _places(query, slots)
    vector = np.empty(width, np.uint64)
    position, longest, best = -1, 0, 0.0
    for text in _possible(query, starts, signs, slacks, at_least):
        start, stop = starts[text], starts[text + 1]
        size = m + stop - start
        if 2 * min(m, stop - start) <= best * size:
            continue
        length = _common(words[start:stop], slots, places, vector, m)
        near = 2 * length / size if length else 0.0
        if near > best and near >= at_least:
            position, longest, best = text, length, near
    for word in query:
        slots[word] = -1
    return position, longest


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _possible(
    query: Words,
    starts: npt.NDArray[np.int64],
    signs: Bits,
    slacks: npt.NDArray[np.int32],
    at_least: float,
) -> npt.NDArray[np.int32]:
    """Return the texts whose words in common may be enough; no branch depends on a text."""
    m = len(query)
    bits, slack = sign(query)
    first, second = bits[0], bits[1]
    found = np.empty(len(slacks), np.int32)
    count = 0
    for text in range(len(slacks)):
        shared = _ones(signs[text, 0] & first) + _ones(signs[text, 1] & second)
        size = m + starts[text + 1] - starts[text]
        found[count] = text
        count += 2 * (shared + min(slack, slacks[text])) >= at_least * size
    return found[:count]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _places(query: Words, slots: Words) -> tuple[Bits, int]:
    """Return where each different word of the query stands in it, as bits; note its row."""
    width = max(1, (len(query) + 63) // 64)
    places = np.zeros((len(query), width), np.uint64)
    found = 0
    for at, word in enumerate(query):
        if slots[word] < 0:
            slots[word] = found
            found += 1
        places[slots[word], at // 64] |= _ONE << np.uint64(at % 64)
    return places, width


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _common(words: Words, slots: Words, places: Bits, vector: Bits, m: int) -> int:
    """Return the length of the longest common subsequence of the query and `words`."""
    vector[:] = _ALL
    for word in words:
        slot = slots[word]
        if slot < 0:
            continue
        carry = _ZERO
        for part in range(len(vector)):
            row = vector[part]
            hits = row & places[slot, part]
            first = row + hits
            total = first + carry
            carry = _ONE if first < row or total < first else _ZERO
            vector[part] = total | (row & ~hits)
    zeros = 0
    for part in range(len(vector)):
        held = min(64, m - part * 64)
        mask = _ALL >> np.uint64(64 - held) if held else _ZERO
        zeros += _ones(~vector[part] & mask)
    return zeros


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _ones(bits: np.uint64) -> int:
    """Count the bits that are set; compilers know this for the processor's own count."""
    bits = bits - (bits >> _ONE & _55)
    bits = (bits & _33) + (bits >> _2 & _33)
    bits = (bits + (bits >> _4)) & _0F
    return int(bits * _01 >> _56)
