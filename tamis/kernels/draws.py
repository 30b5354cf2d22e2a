"""Random draws that belong to an example, not to its place in a file.

A draw is a hash of (example id, which copy of it, seed): a counter-based generator. Batch
size, worker count, engine and row order therefore never change it (Salmon et al. 2011,
'Parallel random numbers: as easy as 1, 2, 3', give the idea; the mixing function is
splitmix64's, Steele et al. 2014).
"""

import numpy as np
import numpy.typing as npt

from tamis.kernels.ordering import New, blocks, id_keys, order_of, parts, runs
from tamis.kernels.threads import spread

__all__ = ["copy_numbers", "gumbels", "id_order", "uniforms"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MANY = 2**14


def uniforms(ids: npt.NDArray[np.void], seed: int, new: New = np.zeros) -> npt.NDArray[np.float64]:
    """Return a number strictly between 0 and 1 for each example.

    Parameters
    ----------
    ids : V16 array of shape (n,)
        Example ids. Copies of one example get different draws; the set of draws that its
        copies get is the same in every order.
    seed : int
        Any integer; another seed gives independent draws.
    new : function of shape and dtype
        Makes the arrays that are as long as the answer.

    Returns
    -------
    float64 array of shape (n,)

    Notes
    -----
    Time O(n), and O(m log m) for counting the m ids that others begin like; 8 bytes a row, and
    24 of those, of what `new` makes beside the answer, and 10 a row at most in memory.

    Examples
    --------
    >>> ids = np.frombuffer(bytes(range(48)), dtype="V16")
    >>> draws = uniforms(ids, seed=0)
    >>> bool((uniforms(ids[::-1], seed=0) == draws[::-1]).all())
    True
    """
    drawn = new((len(ids),), np.float64)
    numbers = copy_numbers(ids, new)
    start = _mixed(np.uint64((seed + int(_GOLDEN)) % 2**64))
    for rows in blocks(len(ids)):
        words = np.ascontiguousarray(ids[rows]).view(np.uint64).reshape(-1, 2)
        state = _mixed(_mixed(words[:, 0] ^ start) ^ words[:, 1])
        with np.errstate(over="ignore"):
            state = _mixed(state + numbers[rows].astype(np.uint64) * _GOLDEN)
        drawn[rows] = ((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return drawn


def gumbels(ids: npt.NDArray[np.void], seed: int, new: New = np.zeros) -> npt.NDArray[np.float64]:
    """Return a standard Gumbel draw for each example: −log(−log u), u from `uniforms`."""
    drawn = uniforms(ids, seed, new)
    for rows in blocks(len(ids)):
        drawn[rows] = -np.log(-np.log(drawn[rows]))
    return drawn


def copy_numbers(ids: npt.NDArray[np.void], new: New = np.zeros) -> npt.NDArray[np.int64]:
    """Return the number of each copy of an example: 0, 1, 2, … in the order given.

    >>> a, b = b"a" * 16, b"b" * 16
    >>> copy_numbers(np.frombuffer(a + b + a + a, dtype="V16")).tolist()
    [0, 0, 1, 2]
    """
    numbers = new((len(ids),), np.int64)

    def number(part: tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]) -> None:
        rows, keys = part
        order = order_of(keys)
        starts, sizes = runs(keys[:, order])
        numbers[rows[order]] = np.arange(len(rows)) - np.repeat(starts, sizes)

    for _ in spread(number, parts(_may_be_copies(ids), lambda rows: id_keys(ids[rows]), new)):
        pass
    return numbers


def _may_be_copies(ids: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Return which ids may be there more than once: of many, those that others begin like."""
    everyone = np.ones(len(ids), bool)
    if len(ids) < _MANY:
        return everyone
    from tamis.kernels.repeats import met  # numba, which few rows do not want

    return np.asarray(met(np.ascontiguousarray(ids).view(np.uint64)[::2], everyone))


def id_order(ids: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Return the positions of ids in ascending order, equal ones in the order given.

    Notes
    -----
    As `np.argsort(ids, kind="stable")`, which compares 16 bytes at a time by calls.

    Examples
    --------
    >>> a, b = b"a" * 16, b"b" * 16
    >>> id_order(np.frombuffer(b + a + b + a, dtype="V16")).tolist()
    [1, 3, 0, 2]
    """
    return order_of(id_keys(ids))


def _mixed(state: npt.NDArray[np.uint64] | np.uint64) -> npt.NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))
