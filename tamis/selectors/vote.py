"""Votes: keep what several methods would keep."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from datasets import Dataset

from tamis.data.ids import example_ids
from tamis.selectors.pickers import top_k
from tamis.selectors.selection import Selection, say_kept
from tamis.selectors.several import Several

__all__ = ["Vote"]


@dataclass(kw_only=True, repr=False)
class Vote(Several):
    """Keep the examples that the most methods would keep.

    Each method picks `k`, and gives each of its picks a vote. The score of an example is its
    votes, and below 1 how high it stands in the picks: the mean over all methods of
    (k + 1 - rank) / (k + 1), 0 where it was not picked. What no method picks is never kept.

    Notes
    -----
    Signals: `votes`, and `NAME.rank` for each method, null where it did not pick the row.

    See Also
    --------
    Quota : shares the seats among the methods instead.
    """

    name: ClassVar[str] = "vote"

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        assert k is not None
        ranks = self._ranks(pool, k)
        picked = np.stack([*ranks.values()])
        votes = (picked > 0).sum(axis=0)
        height = np.where(picked > 0, (k + 1 - picked) / (k + 1), 0.0).mean(axis=0)
        scores = votes + height
        indices = top_k(scores, example_ids(pool), k, among=votes > 0)
        reasons = np.array([f"votes: {count} of {len(ranks)}" for count in votes], object)
        reasons[votes == 0] = "no method picked it"
        say_kept(reasons, indices)
        told = {f"{name}.rank": pa.array(own, mask=own == 0) for name, own in ranks.items()}
        return Selection(indices, scores, reasons, pa.table({"votes": votes, **told}))
