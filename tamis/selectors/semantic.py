"""Which examples of a pool mean the same, by the directions of their vectors."""

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from tamis.kernels.distances import unit
from tamis.kernels.neighbours import k_means
from tamis.kernels.semantic import edge_first, semantic_leaders
from tamis.models.base import Embedder
from tamis.models.embeddings import points_by_id

__all__ = ["semantic_copies"]

_CLUSTER_ROWS = 10_000  # rows a cluster, where the number of clusters is not given


def semantic_copies(
    pool: Dataset,
    rows: npt.NDArray[np.int64],
    embedder: Embedder | str,
    least: float,
    *,
    clusters: int | None = None,
    reference: bool = False,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return for each row of a pool which one it is a copy of, and how near that is.

    Parameters
    ----------
    pool : Dataset
    rows : int64 array
        Positions of those to compare, the ones to keep first.
    embedder : Embedder or str
    least : float
        Cosine from which two are copies.
    clusters : int, optional
        Only rows of one cluster are compared. By default one for each 10,000 rows.
    reference : bool
        SemDeDup's order and rule instead: see `tamis.kernels.semantic`.

    Returns
    -------
    leader : int64 array of shape (len(pool),)
        Position of the row that each was dropped for; its own where it was not.
    cosine : float64 array of shape (len(pool),)
        To that row, or to the nearest it was compared with; NaN where there was none.
    """
    rank = np.full(len(pool), -1)
    rank[rows] = np.arange(len(rows))
    found, points = points_by_id(pool, embedder)
    able = (rank[found] >= 0) & (points != 0).any(axis=1)
    found, points = found[able], points[able]
    leader, cosine = np.arange(len(pool)), np.full(len(pool), np.nan)
    if not len(found):
        return leader, cosine

    n_clusters = -(-len(found) // _CLUSTER_ROWS) if clusters is None else clusters
    cluster = np.zeros(len(found), np.int64)
    if n_clusters > 1:
        _, cluster = k_means(unit(points), n_clusters)
    order = edge_first(points, cluster) if reference else np.argsort(rank[found])
    leads, alike = semantic_leaders(points[order], cluster[order], least, dropped_too=reference)
    leader[found[order]], cosine[found[order]] = found[order][leads], alike
    return leader, cosine
