"""Random draws that belong to an example, not to its place in a file.

A draw is a hash of (example id, which copy of it, seed): a counter-based generator. Batch
size, worker count, engine and row order therefore never change it (Salmon et al. 2011,
'Parallel random numbers: as easy as 1, 2, 3', give the idea; the mixing function is
splitmix64's, Steele et al. 2014).
"""

import numpy as np
import numpy.typing as npt

__all__ = ["copy_numbers", "gumbels", "id_order", "uniforms"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniforms(ids: npt.NDArray[np.void], seed: int) -> npt.NDArray[np.float64]:
    """Return a number strictly between 0 and 1 for each example.

    Parameters
    ----------
    ids : V16 array of shape (n,)
        Example ids. Copies of one example get different draws; the set of draws that its
        copies get is the same in every order.
    seed : int
        Any integer; another seed gives independent draws.

    Returns
    -------
    float64 array of shape (n,)

    Notes
    -----
    Time O(n log n) for counting copies, memory 40 bytes a row.

    Examples
    --------
    >>> ids = np.frombuffer(bytes(range(48)), dtype="V16")
    >>> draws = uniforms(ids, seed=0)
    >>> bool((uniforms(ids[::-1], seed=0) == draws[::-1]).all())
    True
    """
    words = np.ascontiguousarray(ids).view(np.uint64).reshape(-1, 2)
    with np.errstate(over="ignore"):
        state = _mixed(words[:, 0] ^ _mixed(np.uint64(seed % 2**64) + _GOLDEN))
        state = _mixed(state ^ words[:, 1])
        state = _mixed(state + copy_numbers(ids).astype(np.uint64) * _GOLDEN)
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def gumbels(ids: npt.NDArray[np.void], seed: int) -> npt.NDArray[np.float64]:
    """Return a standard Gumbel draw for each example: −log(−log u), u from `uniforms`."""
    drawn: npt.NDArray[np.float64] = -np.log(-np.log(uniforms(ids, seed)))
    return drawn


def copy_numbers(ids: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Return the number of each copy of an example: 0, 1, 2, … in the order given.

    >>> a, b = b"a" * 16, b"b" * 16
    >>> copy_numbers(np.frombuffer(a + b + a + a, dtype="V16")).tolist()
    [0, 0, 1, 2]
    """
    order = id_order(ids)
    ordered = ids[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sizes = np.diff(np.r_[starts, len(ids)])
    numbers = np.empty(len(ids), np.int64)
    numbers[order] = np.arange(len(ids)) - np.repeat(starts, sizes)
    return numbers


def id_order(ids: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Return the positions of ids in ascending order, equal ones in the order given.

    Notes
    -----
    As `np.argsort(ids, kind="stable")`, which compares 16 bytes at a time by calls: the first
    8 are sorted in vectors, and the others looked at only where those are equal.

    Examples
    --------
    >>> a, b = b"a" * 16, b"b" * 16
    >>> id_order(np.frombuffer(b + a + b + a, dtype="V16")).tolist()
    [1, 3, 0, 2]
    """
    words = np.ascontiguousarray(ids).view(">u8").reshape(-1, 2)
    high = words[:, 0].astype(np.uint64)
    order = np.argsort(high)
    equal = high[order[1:]] == high[order[:-1]]
    places = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    rows = order[places]
    order[places] = rows[np.lexsort((rows, words[rows, 1], high[rows]))]
    return order


def _mixed(state: npt.NDArray[np.uint64] | np.uint64) -> npt.NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))
