"""Exact Shapley values for a nearest-neighbour classifier."""

from dataclasses import dataclass
from typing import ClassVar

from tamis.errors import SettingError
from tamis.kernels import knn_shapley
from tamis.selectors.valuation import Labelled, Valuation, Values

__all__ = ["KNNShapley"]


@dataclass(kw_only=True, repr=False)
class KNNShapley(Valuation):
    """Keep the examples that help a nearest-neighbour classifier most, by exact Shapley value.

    The score of an example is its Shapley value: what it adds, on average over all orders in
    which examples may come, to the share of right votes among the `neighbours` nearest of
    each target example. Values add up to that share for the whole pool. An example whose
    label misleads its neighbourhood is worth less than nothing; without `k` those are dropped.

    Parameters
    ----------
    target, embedder, label
        As in `Valuation`. Distances are Euclidean.
    neighbours : int
        K, the neighbours that vote.

    Notes
    -----
    Signals: `value`, the score; `error`, its standard error over the target's examples.
    Time O(target · pool · (d + log pool)): a second for 5,000 examples and 500 target
    examples, minutes for 100,000 and 10,000. Equally distant examples go by id.

    See Also
    --------
    DataShapley : for a linear classifier; sampled, so slower and with an error.

    References
    ----------
    Jia et al., arXiv 1908.08619, theorem 1.
    """

    name: ClassVar[str] = "knn-shapley"
    neighbours: int = 5

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise SettingError(f"KNNShapley: neighbours={self.neighbours}; give at least 1")

    def _values(self, task: Labelled) -> Values:
        values, errors = knn_shapley.knn_shapley(
            task.points, task.labels, task.queries, task.answers, self.neighbours
        )
        return Values(values, {"error": errors})
