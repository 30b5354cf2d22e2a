"""Which of many vectors to keep, best first, so that no two of the kept point the same way."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tamis.kernels.distances import nearest, unit
from tamis.kernels.semantic import semantic_leaders

__all__ = ["Diverse", "diverse"]

_BLOCK = 4096  # vectors compared with the kept at a time
_ROUNDING = 2e-7  # of a cosine of float32 vectors: one that is above by less is equal


class Diverse(NamedTuple):
    """What the filter did with each vector that it came to.

    Attributes
    ----------
    picks : int64 array of shape (m,)
        Indices of the kept, ascending: best first.
    like : int64 array of shape (n,)
        Of a dropped vector, the kept one nearest to it, of those before it; else −1.
    similarity : float64 array of shape (n,)
        Cosine to the nearest of those kept before it; NaN where there was none, and of
        vectors that it did not come to.
    """

    picks: npt.NDArray[np.int64]
    like: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float64]


def diverse(points: npt.NDArray[np.floating], most: float, k: int) -> Diverse:
    """Go through vectors and keep each whose cosine to every kept one is at most `most`.

    Parameters
    ----------
    points : float array of shape (n, d)
        In the order of preference; of any length above 0.
    most : float
        A cosine; equal to it is still kept.
    k : int
        Stop when so many are kept. With a larger `k` the first are the same.

    Notes
    -----
    Time O(d) for each vector and each kept one, as fast as a product of float32 matrices;
    what is near to `most` is decided in float64.

    Examples
    --------
    >>> angles = np.deg2rad([0, 10, 40, 85])
    >>> found = diverse(np.stack([np.cos(angles), np.sin(angles)], axis=1), most=0.9, k=4)
    >>> found.picks.tolist(), found.like.tolist(), found.similarity.round(2).tolist()
    ([0, 2, 3], [-1, 0, -1, -1], [nan, 0.98, 0.77, 0.71])
    """
    directions = unit(points)
    picks = np.empty(0, np.int64)
    like, similarity = np.full(len(points), -1), np.full(len(points), np.nan)
    for start in range(0, len(points), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(points)))
        if len(picks):
            like[rows], similarity[rows] = _nearest(directions, rows, picks)
        rest = rows[~(similarity[rows] > most + _ROUNDING)]
        leader, within = semantic_leaders(
            directions[rest], np.zeros(len(rest), np.int64), most + _ROUNDING
        )
        closer = within > np.nan_to_num(similarity[rest], nan=-np.inf)
        like[rest[closer]], similarity[rest[closer]] = rest[leader[closer]], within[closer]
        kept = rest[leader == np.arange(len(rest))]
        like[kept] = -1
        picks = np.concatenate([picks, kept])
        if len(picks) >= k:
            break
    if len(picks) >= k:
        picks = picks[:k]
        like[picks[-1] + 1 :], similarity[picks[-1] + 1 :] = -1, np.nan
    return Diverse(picks, like, similarity)


def _nearest(
    directions: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], picks: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the pick that each row is most like, and their cosine."""
    which, _ = nearest(directions[rows], directions[picks])
    ours, theirs = directions[rows].astype(np.float64), directions[picks[which]].astype(np.float64)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return picks[which], np.minimum(np.einsum("nd,nd->n", ours, theirs) / lengths, 1.0)
