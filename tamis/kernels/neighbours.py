"""Nearest neighbours and clusters by FAISS; distances are measured again in float64."""

import faiss
import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.errors import SettingError
from tamis.kernels.distances import euclidean, nearest

__all__ = ["EXACT", "k_means", "search"]

EXACT = "Flat"

_MISSING = -1


def search(
    points: npt.NDArray[np.float32],
    queries: npt.NDArray[np.float32],
    n: int,
    index: str = EXACT,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the `n` points nearest to each query, by Euclidean distance.

    Parameters
    ----------
    points : float32 array of shape (m, d)
    queries : float32 array of shape (q, d)
    n : int
        1 to m.
    index : str
        FAISS' name for an index. 'Flat' compares all; others may miss some neighbours.

    Returns
    -------
    rows : int64 array of shape (q, n)
        Nearest first, ties by lowest index; −1 where an inexact index found fewer.
    distance : float64 array of shape (q, n)
        Of the vectors as given, even where the index holds them compressed; infinite
        where there is no neighbour.

    Raises
    ------
    SettingError
        If FAISS cannot build the index.

    Notes
    -----
    FAISS' float32 distances only say which points are among the `n`: of points that tie
    there to the last bits, another may come in.

    Examples
    --------
    >>> line = np.array([[0], [4], [6], [9]], np.float32)
    >>> rows, distance = search(line, np.array([[5.5]], np.float32), n=3)
    >>> rows.tolist(), distance.tolist()
    ([[2, 1, 3]], [[0.5, 1.5, 3.5]])
    """
    points, queries = np.ascontiguousarray(points), np.ascontiguousarray(queries)
    if index == EXACT:
        _, rows = faiss.knn(queries, points, n)
    else:
        _, rows = _built(points, index).search(queries, n)
    distance = _measured(points, queries, rows)
    order = np.lexsort((rows, distance))
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(distance, order, axis=1)


def k_means(
    points: npt.NDArray[np.float32], n: int, *, seed: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Part points of length 1 into clusters by cosine (spherical k-means).

    Parameters
    ----------
    points : float32 array of shape (m, d)
    n : int
        Number of clusters; m, where there are fewer points.
    seed : int
        Of the centres that it starts from, and of the 256 points a cluster that it learns on.

    Returns
    -------
    centres : float32 array of shape (n, d)
    cluster : int64 array of shape (m,)
        Of each point, the nearest centre's index.
    """
    found = faiss.Kmeans(
        points.shape[1], min(n, len(points)), seed=seed, spherical=True, min_points_per_centroid=1
    )
    found.train(np.ascontiguousarray(points))
    centres = np.asarray(found.centroids)
    return centres, nearest(points, centres)[0]


def _built(points: npt.NDArray[np.float32], index: str) -> faiss.Index:
    try:
        built = faiss.index_factory(points.shape[1], index, faiss.METRIC_L2)
        if not built.is_trained:
            built.train(points)
        built.add(points)
    except (AssertionError, RuntimeError) as error:
        why = str(error).strip().splitlines()[-1]
        raise SettingError(
            f"index='{index}': FAISS cannot build it for {len(points)} points in "
            f"{points.shape[1]} dimensions ({why}); give 'Flat', or one that fits"
        ) from error
    return built


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _measured(
    points: npt.NDArray[np.float32],
    queries: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    distance = np.full(rows.shape, np.inf)
    for query in range(len(queries)):
        for place, row in enumerate(rows[query]):
            if row != _MISSING:
                distance[query, place] = euclidean(points[row], queries[query])
    return distance
