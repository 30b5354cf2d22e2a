"""DEFT: the nearest neighbours of a target's inputs, across the tasks of a pool."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data.ids import example_ids, id_texts
from tamis.data.load import Source, load
from tamis.errors import SettingError
from tamis.kernels.neighbours import EXACT, search
from tamis.models.base import Embedder
from tamis.models.embeddings import points_by_id
from tamis.selectors.base import Selector
from tamis.selectors.selection import Selection, one_reason, say_kept

__all__ = ["CrossTaskKNN"]


@dataclass(kw_only=True, repr=False)
class CrossTaskKNN(Selector):
    """Keep the examples whose prompts are nearest to the target's, whatever their task.

    Each target prompt is a query that retrieves its `neighbours` nearest examples. The score
    of an example is the number of queries that retrieved it; one that none retrieved has no
    score. Without `k` all that was retrieved is kept, with it the highest scores, the nearer
    of equals first: at most queries × neighbours examples, each once.

    Parameters
    ----------
    target : Dataset, or anything `tamis.load` takes
        Examples of the task that is wanted. Responses are not looked at, and need not be
        there. The paper takes up to 1,000.
    embedder : Embedder or str
        Distances are Euclidean between its vectors of the prompts.
    neighbours : int
        Examples a query retrieves.
    index : str
        FAISS' name for an index. 'Flat' is exact, and quick enough for a few million
        examples. The paper's is 'OPQ8_512,HNSW512,PQ8', for vectors of 512 dimensions and more.

    Notes
    -----
    Signals: `frequency`, how many queries retrieved the example; `query`, the id of the
    nearest of them; `distance`, how far that one is.

    The paper takes the mean of an encoder's last states as it is, where tamis' own embedders
    give vectors of length one. The released code drops up to three queries at the end, which
    is not reproduced. Time queries × pool, as FAISS does it.

    See Also
    --------
    DSIR : compares by words, needs no embedder, and draws rather than ranks.

    References
    ----------
    Ivison et al., arXiv 2212.00196 (DEFT).
    """

    name: ClassVar[str] = "cross-task-knn"
    needs_k: ClassVar[bool] = False
    target: Source
    embedder: Embedder | str = "bundled"
    neighbours: int = 500
    index: str = EXACT

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise SettingError(f"CrossTaskKNN: neighbours={self.neighbours}; give at least 1")

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        target = load(self.target, progress=False)
        asked, queries = points_by_id(
            target, self.embedder, part="prompt", who="CrossTaskKNN: the target"
        )
        rows, points = points_by_id(pool, self.embedder, part="prompt")
        found, distance = search(points, queries, min(self.neighbours, len(points)), self.index)
        retrieved = _Retrieved.of(found, distance, len(points))

        frequency = np.zeros(len(pool), np.int64)
        frequency[rows] = retrieved.frequency
        nearest, query = np.full(len(pool), np.nan), np.full(len(pool), -1)
        nearest[rows] = retrieved.distance
        query[rows] = np.where(retrieved.query < 0, -1, asked[retrieved.query])
        best = rows[np.lexsort((retrieved.distance, -retrieved.frequency))]  # stable: then by id
        indices = best[: np.count_nonzero(frequency)][:k]

        reasons = one_reason(len(pool), "no embedding")
        reasons[rows] = f"not among the {self.neighbours} nearest of any target example"
        reasons[frequency > 0] = "retrieved by fewer target examples, or from farther"
        say_kept(reasons, indices)
        by = id_texts(example_ids(target)).take(pa.array(query, mask=query < 0))
        signals = {"frequency": frequency, "query": by, "distance": nearest}
        scores = np.where(frequency > 0, frequency, np.nan)
        return Selection(indices, scores, reasons, pa.table(signals))


@dataclass(frozen=True, eq=False)
class _Retrieved:
    """What the queries found, by point.

    Attributes
    ----------
    frequency : int64 array of shape (n,)
    query : int64 array of shape (n,)
        The nearest of the queries that retrieved a point; −1 where none did.
    distance : float64 array of shape (n,)
        To it; NaN where there is none.
    """

    frequency: npt.NDArray[np.int64]
    query: npt.NDArray[np.int64]
    distance: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, found: npt.NDArray[np.int64], distance: npt.NDArray[np.float64], n: int
    ) -> "_Retrieved":
        there = found >= 0  # an inexact index may find fewer
        points, away = found[there], distance[there]
        queries = np.broadcast_to(np.arange(len(found))[:, None], found.shape)[there]
        nearest_last = np.lexsort((-queries, -away))
        query, least = np.full(n, -1), np.full(n, np.nan)
        query[points[nearest_last]] = queries[nearest_last]
        least[points[nearest_last]] = away[nearest_last]
        return cls(np.bincount(points, minlength=n), query, least)
