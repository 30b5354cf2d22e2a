"""The most likely subset of a determinantal point process: items that are good and not alike."""

import numpy as np
import numpy.typing as npt

__all__ = ["greedy_map", "relevance_kernel"]

_NOTHING_LEFT = 1e-10


def greedy_map(kernel: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.int64]:
    """Add, again and again, the item that multiplies the determinant of the chosen the most.

    Parameters
    ----------
    kernel : float64 array of shape (n, n)
        Positive semi-definite.
    k : int
        How many; fewer come back where the rest add nothing but copies.

    Returns
    -------
    int64 array of shape (at most k,)
        In the order chosen, ties by lowest index.

    Notes
    -----
    Time O(n k²) by updating a Cholesky factor (Chen et al., arXiv 1709.05135).

    Examples
    --------
    >>> greedy_map(np.array([[2.0, 2.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 1.0]]), 3).tolist()
    [0, 2]
    """
    n = len(kernel)
    factor = np.zeros((min(k, n), n))
    gain = np.diag(kernel).astype(np.float64)
    least = _NOTHING_LEFT * max(gain.max(initial=0.0), 0.0)
    picks: list[int] = []
    while len(picks) < len(factor):
        pick = int(gain.argmax())
        if gain[pick] <= least:
            break
        row = len(picks)
        shared = factor[:row].T @ factor[:row, pick]
        factor[row] = (kernel[pick] - shared) / np.sqrt(gain[pick])
        gain = gain - factor[row] ** 2
        gain[[*picks, pick]] = -np.inf
        picks.append(pick)
    return np.array(picks, np.int64)


def relevance_kernel(
    relevance: npt.NDArray[np.floating], likeness: npt.NDArray[np.floating], scale: float
) -> npt.NDArray[np.float64]:
    """Return L_ij = r_i S_ij r_j: S = (likeness + 1) / 2, r = exp((relevance + 1) / (4 scale)).

    Parameters
    ----------
    relevance : float array of shape (n,)
        Cosine of each item with the query.
    likeness : float array of shape (n, n)
        Cosines of the items with each other.
    scale : float
        Above 0: the larger, the more diversity.

    Notes
    -----
    All r are divided by the largest, which changes no choice and overflows at no scale.
    """
    r = np.exp((relevance - relevance.max()) / (4 * scale))
    kernel: npt.NDArray[np.float64] = r[:, None] * (likeness + 1) / 2 * r
    return kernel
