"""Random projections whose randomness is computed where it is needed, and never stored.

A vector x of length p becomes one of length d < p with nearly the same inner products:

    dense     x R / √d       R (p × d) of independent signs ±1 (Rademacher)
    fast      √(q/d) S H D x   D random signs, H Walsh and Hadamard's rotation, S any d rows

The first is the textbook's, the second costs p log p in the place of p d (Ailon and Chazelle
2009; x is padded with zeros to a length q that is a power of two). A sign is a bit of a
hash of where it stands and the seed, a counter-based generator: so any block of R can be
made alone, in any order, on any machine.
"""

from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.threads import spread

__all__ = ["project", "signs"]

Floats = npt.NDArray[np.float32]

_ROWS, _COLUMNS = 1024, 1024  # of R at a time: 4 MB
_GOLDEN = 0x9E3779B97F4A7C15


def project(
    vectors: npt.NDArray[np.floating], dimensions: int, seed: int, *, dense: bool = False
) -> Floats:
    """Return vectors of `dimensions` numbers with nearly the same inner products.

    Parameters
    ----------
    vectors : float array of shape (n, p)
    dimensions : int
        Where p is no more than that, the fast way returns the vectors as they are.
    seed : int
        Any integer; another seed is another projection.
    dense : bool
        By a matrix of independent signs.

    Returns
    -------
    float32 array of shape (n, dimensions)
        Inner products are those of `vectors` in expectation. A cosine is off by about
        1/√dimensions.

    Notes
    -----
    Fast: p log p additions a vector, in place in cache where p is below a few hundred
    thousand; memory 4 bytes · 2p a core. Dense: 2 p · dimensions operations a vector, as
    products of matrices, and p · dimensions hashed bits a call: project many at once;
    memory 8 MB a core. Both on all cores.

    Examples
    --------
    >>> project(np.eye(2), dimensions=4, seed=0, dense=True).tolist()
    [[-0.5, -0.5, 0.5, 0.5], [-0.5, -0.5, 0.5, -0.5]]
    """
    given = np.ascontiguousarray(vectors, np.float32)
    if dense:
        ends = [*range(0, dimensions, _COLUMNS), dimensions]
        parts = spread(partial(_columns, given, seed), list(pairwise(ends)))
        whole = np.concatenate(list(parts), axis=1)
        return np.asarray(whole / np.sqrt(dimensions), np.float32)
    n, p = given.shape
    if p <= dimensions:
        return given
    padded = 1 << (p - 1).bit_length()
    kept = _sample(padded, dimensions, seed)
    flips = signs((0, 1), (0, p), seed)[0] / np.float32(np.sqrt(dimensions))
    projected = np.empty((n, dimensions), np.float32)
    for _ in spread(partial(_rotate, given, flips, padded, kept, projected), range(n)):
        pass
    return projected


def signs(rows: tuple[int, int], columns: tuple[int, int], seed: int) -> Floats:
    """Return a block of R: float32 of shape (rows, columns), of 1 and −1.

    Parameters
    ----------
    rows, columns : pair of int
        From, up to. Columns start at a multiple of 64.
    seed : int
    """
    block = np.empty((rows[1] - rows[0], columns[1] - columns[0]), np.float32)
    _fill(block.view(np.uint32), rows[0], columns[0] // 64, np.uint64(seed % 2**64))
    return block


def _columns(vectors: Floats, seed: int, columns: tuple[int, int]) -> Floats:
    """Return some columns of x R."""
    total = np.zeros((len(vectors), columns[1] - columns[0]), np.float32)
    for start in range(0, vectors.shape[1], _ROWS):
        part = vectors[:, start : start + _ROWS]
        total += part @ signs((start, start + part.shape[1]), columns, seed)
    return total


def _sample(n: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return `count` of the first `n` integers, drawn without replacement, ascending."""
    order = np.argpartition(_hashes(n, np.uint64(seed % 2**64)), count - 1)
    return np.sort(order[:count])


def _rotate(
    vectors: Floats,
    flips: Floats,
    padded: int,
    kept: npt.NDArray[np.int64],
    out: Floats,
    row: int,
) -> None:
    rotated = np.zeros(padded, np.float32)
    np.multiply(vectors[row], flips, out=rotated[: len(flips)])
    _hadamard(rotated)
    np.take(rotated, kept, out=out[row])


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _hadamard(x: Floats) -> None:
    half = 1
    while half < len(x):
        for start in range(0, len(x), 2 * half):
            for i in range(start, start + half):
                a, b = x[i], x[i + half]
                x[i], x[i + half] = a + b, a - b
        half *= 2


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _fill(block: npt.NDArray[np.uint32], row: int, word: int, seed: np.uint64) -> None:
    """Write ±1 as bits of float32: 1 is 0x3F800000, and the highest bit is the sign."""
    height, width = block.shape
    start = _mixed(seed + np.uint64(_GOLDEN))
    for i in range(height):
        of_row = _mixed(start ^ np.uint64(row + i))
        for w in range((width + 63) // 64):
            bits = _mixed(of_row + np.uint64(word + w) * np.uint64(_GOLDEN))
            for j in range(min(64, width - 64 * w)):
                bit = np.uint32((bits >> np.uint64(j)) & np.uint64(1))
                block[i, 64 * w + j] = np.uint32(0x3F800000) | (bit << np.uint32(31))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _hashes(n: int, seed: np.uint64) -> npt.NDArray[np.uint64]:
    """Return `n` different hashes."""
    start = _mixed(seed ^ np.uint64(_GOLDEN))
    hashes = np.empty(n, np.uint64)
    for i in range(n):
        hashes[i] = _mixed(start + np.uint64(i) * np.uint64(_GOLDEN))
    return hashes


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _mixed(state: np.uint64) -> np.uint64:
    """Return splitmix64's mixing of 64 bits."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
