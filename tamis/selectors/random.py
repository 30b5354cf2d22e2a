"""A random draw: the baseline that every other method must beat."""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from datasets import Dataset

from tamis.data.ids import example_ids
from tamis.data.scratch import roomy
from tamis.kernels.draws import uniforms
from tamis.selectors.base import Selector
from tamis.selectors.pickers import top_k
from tamis.selectors.selection import Selection, one_reason, say_kept


@dataclass(kw_only=True, repr=False)
class Random(Selector):
    """Keep examples drawn at random, each as likely as any other.

    The score of an example is its draw, uniform on (0, 1) and fixed by its id and the
    seed; the largest are kept. The set for `k` is therefore the first part of the set for
    `k` + 1, and a pool that grows keeps the draws of its old rows.

    Parameters
    ----------
    seed : int
        Another seed is another draw.
    """

    name: ClassVar[str] = "random"
    seed: int = 0

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        assert k is not None
        ids = example_ids(pool)
        draws = uniforms(ids, self.seed, roomy)
        indices = top_k(draws, ids, k)
        reasons = one_reason(len(pool), "not drawn")
        say_kept(reasons, indices)
        return Selection(indices, draws, reasons, pa.table({"draw": draws}))
