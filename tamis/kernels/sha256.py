"""SHA-256 of short byte strings, as a number modulo another (FIPS 180-4).

`hashlib` needs a Python object for each string and the interpreter's lock; an n-gram is a
few bytes in a large array. Here one costs about 0.2 µs, without either.
"""

from math import isqrt

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["sha256_mod"]


def _primes(count: int) -> list[int]:
    return [n for n in range(2, 400) if all(n % d for d in range(2, isqrt(n) + 1))][:count]


def _cube_root(n: int) -> int:
    """Return the largest whole number whose cube is at most n."""
    root = round(n ** (1 / 3))
    while root**3 > n:
        root -= 1
    while (root + 1) ** 3 <= n:
        root += 1
    return root


# The first 32 bits after the point of the primes' square and cube roots (sections 4.2.2, 5.3.3).
_START = np.array([isqrt(p << 64) & 0xFFFFFFFF for p in _primes(8)], np.uint32)
_ROUNDS = np.array([_cube_root(p << 96) & 0xFFFFFFFF for p in _primes(64)], np.uint32)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def sha256_mod(
    text: npt.NDArray[np.uint8], begin: int, end: int, modulus: int, words: npt.NDArray[np.uint32]
) -> int:
    """Return SHA-256 of `text[begin:end]`, read as a big-endian number, modulo `modulus`.

    Parameters
    ----------
    text : uint8 array
    begin, end : int
    modulus : int
        Below 2**31.
    words : uint32 array of shape (64,), written to
        Room to work in, made once for many calls.

    Examples
    --------
    >>> text = np.frombuffer(b"alice", np.uint8)
    >>> sha256_mod(text, 0, 5, 10_000, np.empty(64, np.uint32))
    6720
    """
    state = _START.copy()
    length = end - begin
    blocks = (length + 8) // 64 + 1
    for block in range(blocks):
        for j in range(16):
            words[j] = _four_bytes(text, begin + 64 * block + 4 * j, end)
        if block == blocks - 1:
            words[14], words[15] = length >> 29, length << 3 & 0xFFFFFFFF
        _compress(state, words)
    rest = np.uint64(0)
    for j in range(8):
        rest = (rest << np.uint64(32) | np.uint64(state[j])) % np.uint64(modulus)
    return np.int64(rest)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _compress(state: npt.NDArray[np.uint32], words: npt.NDArray[np.uint32]) -> None:
    """Mix a block, the first 16 `words`, into the state (section 6.2.2)."""
    for t in range(16, 64):
        low, high = words[t - 15], words[t - 2]
        low = _turned(low, 7) ^ _turned(low, 18) ^ low >> np.uint32(3)
        high = _turned(high, 17) ^ _turned(high, 19) ^ high >> np.uint32(10)
        words[t] = words[t - 16] + low + words[t - 7] + high
    a, b, c, d = state[0], state[1], state[2], state[3]
    e, f, g, h = state[4], state[5], state[6], state[7]
    for t in range(64):
        chosen = (e & f) ^ (~e & g)
        first = np.uint32(
            h + (_turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)) + chosen + _ROUNDS[t] + words[t]
        )
        majority = (a & b) ^ (a & c) ^ (b & c)
        second = np.uint32((_turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)) + majority)
        h, g, f, e = g, f, e, np.uint32(d + first)
        d, c, b, a = c, b, a, np.uint32(first + second)
    for j, value in enumerate((a, b, c, d, e, f, g, h)):
        state[j] += value


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _four_bytes(text: npt.NDArray[np.uint8], i: int, end: int) -> np.uint32:
    """Return 4 bytes from `text[i]` as a big-endian number; from `end` on, 0x80 and then 0."""
    word = np.uint32(0)
    if i + 4 <= end:
        for j in range(i, i + 4):
            word = np.uint32(word << np.uint32(8) | np.uint32(text[np.uint64(j)]))
    elif i <= end:
        for j in range(i, end):
            word = np.uint32(word << np.uint32(8) | np.uint32(text[j]))
        word = np.uint32((word << np.uint32(8) | np.uint32(0x80)) << np.uint32(8 * (i + 3 - end)))
    return word


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _turned(word: np.uint32, places: int) -> np.uint32:
    """Rotate 32 bits to the right."""
    return np.uint32(word >> np.uint32(places) | word << np.uint32(32 - places))
