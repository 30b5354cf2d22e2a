"""TS-DShapley: Shapley values within many small draws from the pool."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tamis.errors import SettingError
from tamis.kernels.linear import Lesson
from tamis.kernels.semivalues import estimate, permutation, weights
from tamis.kernels.threads import spread
from tamis.selectors.data_shapley import LEARNERS, LinearValuation, play_of
from tamis.selectors.valuation import Labelled, Values

__all__ = ["TransferredShapley"]

_VISITS = 10  # chains that an example is in, on average, where their number is not given
_FEWEST = 16  # examples a chain, at least


@dataclass(kw_only=True, repr=False)
class TransferredShapley(LinearValuation):
    """Keep the examples that teach a linear classifier most, valued in small samples.

    Each chain draws a sample of the pool and estimates Shapley values within it, for a linear
    classifier on the embedder's vectors. The score of an example is its mean over the chains
    that it was in: what holds for the cheap classifier is taken to hold for the model that
    made the vectors. Without `k`, the least valuable are dropped, to the percent of the pool
    at which the classifier is most accurate on the target.

    Parameters
    ----------
    target, embedder, label
        As in `Valuation`. Best is an embedder made of the model that will be trained.
    learner, dimensions, ridge, truncation, seed
        As in `LinearValuation`.
    share : float
        Of the pool, in a chain; 16 examples at least.
    chains : int, optional
        By default so many that an example is in ten on average.
    permutations : int
        Permutations a chain.

    Notes
    -----
    Signals: `value`, the score; `error`, its standard error over chains; `chains`, how many
    it was in. One that was in none has no score.

    The paper's learner is a logistic regression; see `DataShapley` for how they differ. All
    chains have the same size, so values are of one scale: shares of what a sample teaches.
    One chain of everything is `DataShapley` with the same seed and number of permutations.

    References
    ----------
    Schoch et al., arXiv 2306.10165.
    """

    name: ClassVar[str] = "ts-dshapley"
    share: float = 0.02
    chains: int | None = None
    permutations: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise SettingError(f"TransferredShapley: share={self.share}; give one above 0, up to 1")
        if self.chains is not None and self.chains < 1:
            raise SettingError(f"TransferredShapley: chains={self.chains}; give at least 1")

    def _taught(self, lesson: Lesson) -> Values:
        n = len(lesson.labels)
        size = min(n, max(_FEWEST, int(self.share * n)))
        chains = -(-_VISITS * n // size) if self.chains is None else self.chains
        total, squares, visits = np.zeros(n), np.zeros(n), np.zeros(n, np.int64)
        for sample, values in spread(partial(self._chain, lesson, size), range(chains)):
            total[sample] += values
            squares[sample] += values**2
            visits[sample] += 1
        with np.errstate(invalid="ignore", divide="ignore"):
            means = total / visits
            errors = np.sqrt(np.maximum(squares / visits - means**2, 0) / (visits - 1.0))
        errors[visits < 2] = np.nan
        return Values(means, {"error": errors, "chains": visits})

    def _chain(
        self, lesson: Lesson, size: int, chain: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return the rows of a sample, and their values in it."""
        sample = np.sort(permutation(len(lesson.labels), ~self.seed, chain)[:size])
        part = lesson._replace(points=lesson.points[sample], labels=lesson.labels[sample])
        found = estimate(
            play_of(part, self.truncation, learner=self.learner),
            weights(size),
            permutations=self.permutations,
            seed=self.seed + chain,
        )
        return sample, found.values

    def _rule(self, task: Labelled, values: npt.NDArray[np.float64]) -> int:
        """Return how many to keep for the best accuracy, to a percent; of equals the most."""
        valued = np.flatnonzero(~np.isnan(values))
        best_first = valued[np.argsort(-values[valued], kind="stable")]
        learn = LEARNERS[self.learner]
        right = learn(self._lesson(task), best_first, len(valued), 0.0, 0.0)
        kept = len(valued) - len(valued) * np.arange(100) // 100
        return int(kept[right[kept].argmax()])
