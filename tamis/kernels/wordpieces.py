"""WordPiece on UTF-8 bytes: words cut greedily into the longest pieces a vocabulary has.

A word is a run of bytes that are neither ASCII space nor ASCII punctuation; a punctuation
mark is a word by itself. Every byte is a piece, so nothing is unknown in any language.
"""

import string
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["damped_sums", "table_of", "word_pieces"]

_PRIME = np.uint64(0x100000001B3)  # FNV-1a
_FIRST, _REST = np.uint64(0xCBF29CE484222325), np.uint64(0x84222325CBF29CE4)
_FREE = np.uint64(0)

_WORD, _SPACE, _MARK = 0, 1, 2
_KINDS = np.zeros(256, np.uint8)
_KINDS[[*b" \t\n\r\f\v"]] = _SPACE
_KINDS[[*string.punctuation.encode()]] = _MARK

Table = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], int]


def table_of(first: Mapping[bytes, int], rest: Mapping[bytes, int]) -> Table:
    """Lay a vocabulary out for `word_pieces`.

    Parameters
    ----------
    first, rest : mapping of bytes to int
        The pieces that may begin a word, and those that may go on with one. Each must hold
        all 256 single bytes.

    Returns
    -------
    keys : uint64 array
        Hashes of the pieces, open addressing.
    ids : int32 array
    longest : int
        Bytes of the longest piece.

    Notes
    -----
    Pieces are told apart by 64-bit hashes alone.
    """
    if not all(bytes([byte]) in pieces for pieces in (first, rest) for byte in range(256)):
        raise ValueError("a vocabulary must hold every single byte, at a word's start and within")
    size = 1 << (4 * (len(first) + len(rest))).bit_length()
    keys, ids = np.zeros(size, np.uint64), np.empty(size, np.int32)
    for pieces, seed in ((first, _FIRST), (rest, _REST)):
        for piece, number in pieces.items():
            _put(keys, ids, np.frombuffer(piece, np.uint8), seed, number)
    return keys, ids, max(map(len, [*first, *rest]))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def word_pieces(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    keys: npt.NDArray[np.uint64],
    ids: npt.NDArray[np.int32],
    longest: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Cut texts into pieces.

    Parameters
    ----------
    offsets : int64 array of shape (n + 1,)
        Text i is data[offsets[i]:offsets[i + 1]].
    data : uint8 array
        UTF-8, in lower case if the vocabulary is.
    keys, ids, longest
        What `table_of` returned.

    Returns
    -------
    starts : int64 array of shape (n + 1,)
    pieces : int32 array
        Text i is pieces[starts[i]:starts[i + 1]].
    """
    starts = np.zeros(len(offsets), np.int64)
    pieces = np.empty(offsets[-1] - offsets[0], np.int32)
    hashes = np.empty(longest, np.uint64)
    count = 0
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            kind = _KINDS[data[at]]
            stop = at + 1
            if kind == _WORD:
                while stop < end and _KINDS[data[stop]] == _WORD:
                    stop += 1
            if kind != _SPACE:
                count = _cut(data, at, stop, keys, ids, hashes, pieces, count)
            at = stop
        starts[row + 1] = count
    return starts, pieces[:count].copy()


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def damped_sums(
    starts: npt.NDArray[np.int64],
    pieces: npt.NDArray[np.int32],
    vectors: npt.NDArray[np.int8],
) -> npt.NDArray[np.int64]:
    """Add up the vectors of each text's pieces, one that stands there c times √c times.

    Parameters
    ----------
    starts : int64 array of shape (n + 1,)
    pieces : int32 array
    vectors : int8 array of shape (vocabulary, d)

    Returns
    -------
    int64 array of shape (n, d)
        Sixteen times the sum, 16 √c rounded to an integer: exact in any order.

    Examples
    --------
    >>> vectors = np.array([[1, 0], [0, 10]], np.int8)
    >>> pieces = np.array([0, 1, 1, 1, 1], np.int32)
    >>> damped_sums(np.array([0, 5, 5]), pieces, vectors).tolist()
    [[16, 320], [0, 0]]
    """
    n, width = len(starts) - 1, vectors.shape[1]
    out = np.zeros((n, width), np.int64)
    counts = np.zeros(len(vectors), np.int64)
    for row in range(n):
        for place in range(starts[row], starts[row + 1]):
            counts[pieces[place]] += 1
        for place in range(starts[row], starts[row + 1]):
            piece = pieces[place]
            if counts[piece]:
                weight = np.int64(16 * np.sqrt(counts[piece]) + 0.5)
                for column in range(width):
                    out[row, column] += weight * vectors[piece, column]
                counts[piece] = 0
    return out


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _cut(
    data: npt.NDArray[np.uint8],
    at: int,
    stop: int,
    keys: npt.NDArray[np.uint64],
    ids: npt.NDArray[np.int32],
    hashes: npt.NDArray[np.uint64],
    pieces: npt.NDArray[np.int32],
    count: int,
) -> int:
    """Append the pieces of the word data[at:stop]; return how many there now are."""
    seed = _FIRST
    while at < stop:
        length = min(stop - at, len(hashes))
        running = seed
        for place in range(length):
            running = (running ^ np.uint64(data[at + place])) * _PRIME
            hashes[place] = running
        while True:
            slot = _slot(keys, hashes[length - 1])
            if keys[slot] != _FREE or length == 1:
                break
            length -= 1
        pieces[count] = ids[slot]
        count += 1
        at += length
        seed = _REST  # what goes on with a word is hashed apart from what begins one
    return count


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _slot(keys: npt.NDArray[np.uint64], key: np.uint64) -> np.int64:
    """Return where a key is, or where it would be put."""
    mask = np.uint64(len(keys) - 1)
    slot = (key ^ (key >> np.uint64(29))) & mask
    while keys[slot] != _FREE and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return np.int64(slot)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _put(
    keys: npt.NDArray[np.uint64],
    ids: npt.NDArray[np.int32],
    piece: npt.NDArray[np.uint8],
    seed: np.uint64,
    number: int,
) -> None:
    running = seed
    for byte in piece:
        running = (running ^ np.uint64(byte)) * _PRIME
    slot = _slot(keys, running)
    keys[slot], ids[slot] = running, number
