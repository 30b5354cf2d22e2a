"""Facility location: the kept examples stand for the pool."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from datasets import Dataset

from tamis.kernels.distances import unit
from tamis.kernels.facility import facility_location
from tamis.models.base import Embedder
from tamis.models.embeddings import points_by_id
from tamis.selectors.base import Selector
from tamis.selectors.selection import Selection, one_reason, say_kept

__all__ = ["FacilityLocation"]


@dataclass(kw_only=True, repr=False)
class FacilityLocation(Selector):
    """Keep examples that stand for the pool: each example is like one of them.

    Examples are picked, again and again, for what they add to the sum, over the pool, of each
    example's cosine to the nearest pick. The score of a kept one is what it added; others have
    none. Where k-center goes to the edges, this goes to where the examples are.

    Superfiltering.D, which keeps 2 % of Alpaca, is this on the best fifth by IFD:
    `chain(IFD(share=0.2), FacilityLocation())`.

    Parameters
    ----------
    embedder : Embedder or str
        Of the whole examples; only the directions of its vectors count.

    Notes
    -----
    Signals: `gain`, the score, and `similarity`, the cosine to the nearest kept example.
    Time grows with the square of the rows: choose a few ten thousand by another method first.

    See Also
    --------
    KCenter : leaves no example far from a kept one, and takes outliers for that.
    DEITA : keeps the best that are unlike each other.

    References
    ----------
    Li et al., arXiv 2402.00530 (Superfiltering.D). Nemhauser et al. 1978.
    """

    name: ClassVar[str] = "facility-location"
    embedder: Embedder | str = "bundled"

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        assert k is not None
        rows, points = points_by_id(pool, self.embedder)
        directions = unit(points)
        able = ~np.isnan(directions[:, 0])  # a vector of length 0 has no direction
        rows = rows[able]
        reasons = one_reason(len(pool), "no embedding")
        reasons[rows] = "stood for by a kept example"
        scores, similarity = np.full(len(pool), np.nan), np.full(len(pool), np.nan)
        indices = rows[:0]
        if len(rows):
            picks, gains, near = facility_location(directions[able], min(k, len(rows)))
            indices = rows[picks]
            scores[indices], similarity[rows] = gains, near
        say_kept(reasons, indices)
        signals = pa.table({"gain": scores, "similarity": similarity})
        return Selection(indices, scores, reasons, signals)
