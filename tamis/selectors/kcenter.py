"""k-center: the kept examples cover the pool."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data.ids import example_ids, id_texts
from tamis.kernels.distances import nearest
from tamis.kernels.draws import uniforms
from tamis.kernels.kcenter import cover
from tamis.models.base import Embedder
from tamis.models.embeddings import points_by_id
from tamis.selectors.base import Selector
from tamis.selectors.selection import Selection, one_reason, say_kept
from tamis.selectors.sharded import check_shards, sharded_cover, shards_of

__all__ = ["KCenter", "covering"]


@dataclass(kw_only=True, repr=False)
class KCenter(Selector):
    """Keep examples that cover the pool: none is left far from a kept one.

    The score of an example is its distance to the nearest one kept before it, so the
    kept have the highest scores. Outliers score high: clean the pool first.

    Parameters
    ----------
    embedder : Embedder or str
        Distances are Euclidean between its vectors of the whole examples.
    seed : int, optional
        Start at an example drawn with this seed, as MoDS does. By default, start at
        the one nearest to the mean, and nothing is drawn.
    shards : int, optional
        Choose in two rounds: within as many parts of the pool, at once, then among what they
        chose (see `tamis.selectors.sharded`). A dropped example can then have a higher score
        than a kept one. By default the choice is exact.

    Notes
    -----
    Signals: `gap`, the score; `covered_by`, the id of the kept example nearest to a dropped
    one. The picks are those of the plain algorithm, at the cost that `tamis.kernels.kcenter`
    states; memory is that of the vectors.

    See Also
    --------
    Coreset : runs this within one task, on vectors of length one.
    Deduplicate : drops copies at a similarity that you choose, rather than a number of rows.

    References
    ----------
    Sener and Savarese, arXiv 1708.00489, algorithm 1. Gonzalez 1985.
    """

    name: ClassVar[str] = "kcenter"
    embedder: Embedder | str = "bundled"
    seed: int | None = None
    shards: int | None = None

    def __post_init__(self) -> None:
        check_shards("KCenter", self.shards)

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        assert k is not None
        rows, points = points_by_id(pool, self.embedder)
        return covering(example_ids(pool), rows, points, k, seed=self.seed, shards=self.shards)


def covering(
    ids: npt.NDArray[np.void],
    rows: npt.NDArray[np.int64],
    points: npt.NDArray[np.floating],
    k: int,
    *,
    seed: int | None = None,
    shards: int | None = None,
) -> Selection:
    """Choose `k` of `rows` by k-center, or all where they are fewer.

    Parameters
    ----------
    ids : V16 array of shape (n,)
        Of the whole pool.
    rows : int64 array of shape (m,)
        Positions of the rows that may be chosen, in the order of their ids.
    points : float array of shape (m, d)
        Their vectors.
    k : int
    seed, shards : int, optional
        As in `KCenter`.

    Returns
    -------
    Selection
        Rows that are not among `rows` have no score; their reason is 'no embedding'.
    """
    k, first = min(k, len(rows)), _first(points, ids[rows], seed)
    if shards is None:
        found = cover(points, k, first)
    else:
        found = sharded_cover(points, shards_of(ids[rows], shards), k, first)

    indices = rows[found.picks]
    scores, covered_by = np.full(len(ids), np.nan), np.full(len(ids), -1)
    scores[rows], covered_by[rows] = found.gap, rows[found.by]
    reasons = one_reason(len(ids), "no embedding")
    reasons[rows] = "covered by a kept example"
    say_kept(reasons, indices)
    covered_by[indices] = -1
    by = id_texts(ids).take(pa.array(covered_by, mask=covered_by < 0))
    return Selection(indices, scores, reasons, pa.table({"gap": scores, "covered_by": by}))


def _first(points: npt.NDArray[np.floating], ids: npt.NDArray[np.void], seed: int | None) -> int:
    if seed is not None:
        return int(uniforms(ids, seed).argmin())
    mean = points.mean(axis=0, dtype=np.float64, keepdims=True)
    return int(nearest(points, mean)[1].argmin())
