"""From scores to a choice. Rows without a score (NaN) are never chosen; ties go by id."""

import numpy as np
import numpy.typing as npt

from tamis.kernels.draws import gumbels

__all__ = ["gumbel_top_k", "threshold", "top_k"]


def top_k(
    scores: npt.NDArray[np.float64], ids: npt.NDArray[np.void], k: int
) -> npt.NDArray[np.int64]:
    """Return the positions of the `k` largest scores, best first.

    Parameters
    ----------
    scores : float64 array of shape (n,)
        NaN is never chosen; fewer than `k` positions come back where fewer have a score.
    ids : V16 array of shape (n,)
        Equal scores are ordered by id, lowest first.
    k : int

    Notes
    -----
    Time O(n) for large n and small k: only scores that can be chosen are sorted.

    Examples
    --------
    >>> ids = np.frombuffer(b"a" * 16 + b"c" * 16 + b"b" * 16 + b"d" * 16, dtype="V16")
    >>> top_k(np.array([1.0, 2, 2, np.nan]), ids, k=4).tolist()
    [2, 1, 0]
    """
    able = np.flatnonzero(~np.isnan(scores))
    if 0 < k < len(able):
        least = np.partition(scores[able], len(able) - k)[len(able) - k]
        able = able[scores[able] >= least]
    by_id = able[np.argsort(ids[able], kind="stable")]
    return by_id[np.argsort(-scores[by_id], kind="stable")][:k]


def threshold(
    scores: npt.NDArray[np.float64], ids: npt.NDArray[np.void], least: float
) -> npt.NDArray[np.int64]:
    """Return the positions of all scores of at least `least`, best first."""
    return top_k(np.where(scores >= least, scores, np.nan), ids, len(scores))


def gumbel_top_k(
    log_weights: npt.NDArray[np.float64],
    ids: npt.NDArray[np.void],
    k: int,
    *,
    seed: int,
    temperature: float = 1.0,
) -> npt.NDArray[np.int64]:
    """Draw `k` rows without replacement, each draw in proportion to exp(log-weight).

    The largest `log_weights + temperature · Gumbel` are the draw (Kool et al., arXiv
    1903.06059). The noise belongs to the example's id, so the draw for `k` is the first
    part of the draw for `k` + 1.

    Parameters
    ----------
    log_weights : float64 array of shape (n,)
        NaN is never drawn.
    ids : V16 array of shape (n,)
    k : int
    seed : int
    temperature : float
        1 is the exact draw; 0 takes the `k` largest weights.
    """
    return top_k(log_weights + temperature * gumbels(ids, seed), ids, k)
