"""BLAKE2b of many byte strings, 16 bytes of digest each (RFC 7693, no key).

`hashlib` needs a Python object for each string, takes them one by one and holds the
interpreter's lock. Here strings are digested side by side, one a lane: a block of each is
mixed in one loop over lanes, which compilers turn into vector instructions. A lane whose
string has ended takes the next one, so lengths may differ. Texts of some hundred bytes take 0.6
ns a byte with 512-bit vectors and 0.85 with 256-bit ones, in `hashlib` 2; one string alone takes
1.2, as there.
"""

from math import isqrt

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["blake2b_128"]

_LANES = 8  # of 64 bits: one vector of 512, two of 256
_BLOCK = 128
_ZERO, _ONES = np.uint64(0), ~np.uint64(0)

# The first 64 bits after the point of the primes' square roots (section 2.6), and what h[0] is
# mixed with at the start: one tree of one leaf, no key, 16 bytes of digest (section 2.5).
_START = np.array(
    [isqrt(p << 128) & 0xFFFF_FFFF_FFFF_FFFF for p in (2, 3, 5, 7, 11, 13, 17, 19)], np.uint64
)
_S0, _S1, _S2, _S3, _S4, _S5, _S6, _S7 = _START
_PARAMETERS = np.uint64(0x0101_0010)

# The order in which a round takes the block's 16 words (section 2.7, SIGMA).
_ORDERS = tuple(
    tuple(np.uint64(int(digit, 16)) for digit in order)  # a plain int would be a type of its own
    for order in [
        "0123456789abcdef",
        "ea489fd61c02b753",
        "b8c052fdae367194",
        "7931dcbe265a40f8",
        "905724afe1bc683d",
        "2c6a0b834d75fe19",
        "c51fed4a0763928b",
        "db7ec13950f4862a",
        "6fe9b308c2d714a5",
        "a2847615fb9e3cd0",
    ]
)


def blake2b_128(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
) -> npt.NDArray[np.void]:
    """Digest byte strings.

    Parameters
    ----------
    offsets : int64 array of shape (n + 1,)
        String i is `data[offsets[i] : offsets[i + 1]]`.
    data : uint8 array

    Returns
    -------
    V16 array of shape (n,)

    Examples
    --------
    >>> from hashlib import blake2b
    >>> data = np.frombuffer(b"alice went", np.uint8)
    >>> first, second = blake2b_128(np.array([0, 5, 10]), data)
    >>> first.tobytes() == blake2b(b"alice", digest_size=16).digest()
    True
    """
    digests = np.empty((len(offsets) - 1, 2), np.uint64)
    _digest(offsets, data, digests)
    return digests.astype("<u8", copy=False).view("V16").ravel()


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _digest(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    digests: npt.NDArray[np.uint64],
) -> None:
    """Write the digests, each as two numbers: its bytes when they are little-endian."""
    state, words = np.empty((8, _LANES), np.uint64), np.empty((16, _LANES), np.uint64)
    counts, lasts = np.empty(_LANES, np.uint64), np.empty(_LANES, np.uint64)
    rows, places = np.empty(_LANES, np.int64), np.empty(_LANES, np.int64)
    begun = lanes = 0
    while lanes or begun < len(digests):
        while lanes < _LANES and begun < len(digests):
            rows[lanes], places[lanes] = begun, offsets[begun]
            for j in range(8):
                state[j, lanes] = _START[j]
            state[0, lanes] ^= _PARAMETERS
            begun, lanes = begun + 1, lanes + 1
        for i in range(lanes):
            begin, end = offsets[rows[i]], offsets[rows[i] + 1]
            for j in range(16):
                words[j, i] = _word(data, places[i] + 8 * j, end)
            places[i] += _BLOCK
            counts[i] = min(places[i], end) - begin
            lasts[i] = _ONES if places[i] >= end else _ZERO
        _compress(state, words, counts, lasts, lanes)
        for i in range(lanes - 1, -1, -1):
            if lasts[i]:
                digests[rows[i], 0], digests[rows[i], 1] = state[0, i], state[1, i]
                lanes -= 1  # the last lane, seen already, moves here
                rows[i], places[i] = rows[lanes], places[lanes]
                for j in range(8):
                    state[j, i] = state[j, lanes]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _word(data: npt.NDArray[np.uint8], at: int, end: int) -> np.uint64:
    """Return 8 bytes from `data[at]` as a little-endian number, 0 for those from `end` on."""
    word = np.uint64(0)
    if at + 8 <= end:  # the compiler makes it one load
        for k in range(8):
            word |= np.uint64(data[np.uint64(at) + np.uint64(k)]) << np.uint64(8 * k)
    else:
        for k in range(end - at):
            word |= np.uint64(data[np.uint64(at) + np.uint64(k)]) << np.uint64(8 * k)
    return word


@njit(inline="always")  # type: ignore[untyped-decorator]
def _compress(
    state: npt.NDArray[np.uint64],
    words: npt.NDArray[np.uint64],
    counts: npt.NDArray[np.uint64],
    lasts: npt.NDArray[np.uint64],
    lanes: int,
) -> None:
    """Mix a block of each lane into its state (section 3.2).

    Inlined, as of arrays that come from outside a compiler must fear that they overlap. All
    twelve rounds are in one pass, so what they work on stays in registers.
    """
    for i in range(lanes):
        h0, h1, h2, h3 = state[0, i], state[1, i], state[2, i], state[3, i]
        h4, h5, h6, h7 = state[4, i], state[5, i], state[6, i], state[7, i]
        count, last = _S4 ^ counts[i], _S6 ^ lasts[i]
        v = (h0, h1, h2, h3, h4, h5, h6, h7, _S0, _S1, _S2, _S3, count, _S5, last, _S7)
        v = _round(v, words, i, _ORDERS[0])
        v = _round(v, words, i, _ORDERS[1])
        v = _round(v, words, i, _ORDERS[2])
        v = _round(v, words, i, _ORDERS[3])
        v = _round(v, words, i, _ORDERS[4])
        v = _round(v, words, i, _ORDERS[5])
        v = _round(v, words, i, _ORDERS[6])
        v = _round(v, words, i, _ORDERS[7])
        v = _round(v, words, i, _ORDERS[8])
        v = _round(v, words, i, _ORDERS[9])
        v = _round(v, words, i, _ORDERS[0])
        v = _round(v, words, i, _ORDERS[1])
        state[0, i], state[1, i] = h0 ^ v[0] ^ v[8], h1 ^ v[1] ^ v[9]
        state[2, i], state[3, i] = h2 ^ v[2] ^ v[10], h3 ^ v[3] ^ v[11]
        state[4, i], state[5, i] = h4 ^ v[4] ^ v[12], h5 ^ v[5] ^ v[13]
        state[6, i], state[7, i] = h6 ^ v[6] ^ v[14], h7 ^ v[7] ^ v[15]


@njit(nogil=True, cache=True, forceinline=True)  # type: ignore[untyped-decorator]
def _round(
    v: tuple[np.uint64, ...],
    words: npt.NDArray[np.uint64],
    i: int,
    order: tuple[np.uint64, ...],
) -> tuple[np.uint64, ...]:
    """Mix the columns of the 4 by 4 numbers of a lane, then the diagonals."""
    a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3 = v
    a0, b0, c0, d0 = _mixed(a0, b0, c0, d0, words[order[0], i], words[order[1], i])
    a1, b1, c1, d1 = _mixed(a1, b1, c1, d1, words[order[2], i], words[order[3], i])
    a2, b2, c2, d2 = _mixed(a2, b2, c2, d2, words[order[4], i], words[order[5], i])
    a3, b3, c3, d3 = _mixed(a3, b3, c3, d3, words[order[6], i], words[order[7], i])
    a0, b1, c2, d3 = _mixed(a0, b1, c2, d3, words[order[8], i], words[order[9], i])
    a1, b2, c3, d0 = _mixed(a1, b2, c3, d0, words[order[10], i], words[order[11], i])
    a2, b3, c0, d1 = _mixed(a2, b3, c0, d1, words[order[12], i], words[order[13], i])
    a3, b0, c1, d2 = _mixed(a3, b0, c1, d2, words[order[14], i], words[order[15], i])
    return a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3


@njit(nogil=True, cache=True, forceinline=True)  # type: ignore[untyped-decorator]
def _mixed(
    a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64, x: np.uint64, y: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Mix two words of a block into four numbers (section 3.1)."""
    a = a + b + x
    d = _turned(d ^ a, 32)
    c = c + d
    b = _turned(b ^ c, 24)
    a = a + b + y
    d = _turned(d ^ a, 16)
    c = c + d
    b = _turned(b ^ c, 63)
    return a, b, c, d


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _turned(word: np.uint64, places: int) -> np.uint64:
    """Rotate 64 bits to the right."""
    return np.uint64(word >> np.uint64(places) | word << np.uint64(64 - places))
