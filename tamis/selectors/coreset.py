"""'Maybe only 0.5 % data is needed': the task's part of the pool, then k-center in it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data.ids import example_ids
from tamis.data.load import Source, load
from tamis.errors import SettingError
from tamis.kernels.distances import nearest, unit
from tamis.kernels.neighbours import k_means
from tamis.models.base import Embedder
from tamis.models.embeddings import points_by_id
from tamis.selectors.base import Selector
from tamis.selectors.kcenter import covering
from tamis.selectors.selection import Selection
from tamis.selectors.sharded import check_shards

__all__ = ["Coreset"]


@dataclass(kw_only=True, repr=False)
class Coreset(Selector):
    """Keep examples that cover the target's task, by k-center on vectors of length one.

    The pool is clustered by k-means. The target's task is the clusters that hold more of
    its examples than an even spread would give them; without a target the whole pool is
    taken for one task. The score of an example of the task is its distance to the nearest
    one kept before it, as in `KCenter`; others have none.

    Parameters
    ----------
    target : Dataset, or anything `tamis.load` takes, optional
        Examples of the task.
    embedder : Embedder or str
        Only the directions of its vectors count.
    clusters : int
        Of k-means, where there is a target.
    share : float
        What part of the task is kept where no `k` is given, rounded down, but one at least.
    seed : int
        Of k-means.
    shards : int, optional
        As in `KCenter`.

    Notes
    -----
    Signals: `gap`, `covered_by` (as in `KCenter`), `cluster` (−1 without a target).

    The paper looks at clusters of known tasks, and gives no rule for which to take; the
    rule, and the number of clusters, are tamis' own. So is where k-center starts: at the
    example nearest to the mean.

    See Also
    --------
    KCenter : on vectors as they are, all over the pool.

    References
    ----------
    Chen et al., arXiv 2305.09246.
    """

    name: ClassVar[str] = "coreset"
    needs_k: ClassVar[bool] = False
    target: Source | None = None
    embedder: Embedder | str = "bundled"
    clusters: int = 100
    share: float = 0.1
    seed: int = 0
    shards: int | None = None

    def __post_init__(self) -> None:
        check_shards("Coreset", self.shards)
        if self.clusters < 1:
            raise SettingError(f"Coreset: clusters={self.clusters}; give at least 1")
        if not 0 < self.share <= 1:
            raise SettingError(f"Coreset: share={self.share}; give one above 0, up to 1")

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        rows, points = _directions(pool, self.embedder)
        cluster, of_task = self._task(points)
        kept = max(1, int(self.share * of_task.sum())) if k is None else k
        chosen = covering(
            example_ids(pool), rows[of_task], points[of_task], kept, shards=self.shards
        )

        chosen.reasons[rows[~of_task]] = "not of the target's task"
        clusters = np.full(len(pool), -1)
        clusters[rows] = cluster
        signals = chosen.signals.append_column("cluster", pa.array(clusters))
        return Selection(chosen.indices, chosen.scores, chosen.reasons, signals)

    def _task(
        self, points: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the cluster of each point, and whether it is of the target's task."""
        if self.target is None:
            return np.full(len(points), -1), np.ones(len(points), bool)
        centres, cluster = k_means(points, self.clusters, seed=self.seed)
        target = load(self.target, progress=False)
        _, queries = _directions(target, self.embedder, who="Coreset: the target")
        share = np.bincount(nearest(queries, centres)[0], minlength=len(centres)) / len(queries)
        return cluster, (share * len(centres) >= 1)[cluster]


def _directions(
    pool: Dataset, embedder: Embedder | str, who: str = "Coreset: the pool"
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the rows that have a vector, in the order of their ids, and its direction."""
    rows, points = points_by_id(pool, embedder, who=who)
    points = unit(points)
    able = ~np.isnan(points[:, 0])  # a vector of length 0 has no direction
    return (rows, points) if able.all() else (rows[able], points[able])
