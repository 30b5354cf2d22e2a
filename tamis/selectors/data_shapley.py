"""Data Shapley and Beta-Shapley values for a linear classifier, by sampling."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from tamis.errors import SettingError, did_you_mean
from tamis.kernels import linear, logistic
from tamis.kernels.linear import Lesson, principal
from tamis.kernels.semivalues import Play, estimate, places, weights
from tamis.selectors.valuation import Labelled, Valuation, Values

__all__ = ["LEARNERS", "DataShapley", "LinearValuation", "play_of"]

Learner = Callable[[Lesson, npt.NDArray[np.int64], int, float, float], npt.NDArray[np.float64]]

LEARNERS: dict[str, Learner] = {"logistic": logistic.accuracies, "ridge": linear.accuracies}
"""From a sequence of examples to the accuracy after each; by the name of what learns."""


@dataclass(kw_only=True, repr=False)
class LinearValuation(Valuation):
    """What methods share that value examples by what they teach a linear classifier.

    Parameters
    ----------
    learner : {"ridge", "logistic"}
        What is taught. A logistic regression is the papers' choice. A ridge regression on
        the classes' indicators takes a fortieth of its time, and finds wrong labels nearly as
        well: `python -m benchmarks.wrong_labels` says how well.
    dimensions : int or None
        Principal components of the vectors that the classifier sees; None is all.
    ridge : float
        Weight of the learner's penalty on squared coefficients, in examples.
    truncation : float
        A permutation is left when accuracy is nearer to that of all examples than this
        share of it; what comes later adds nothing. 0 plays all.
    permutations : int
        How many to draw.
    seed : int
        Of the draws.
    """

    learner: Literal["ridge", "logistic"] = "ridge"
    dimensions: int | None = 32
    ridge: float = 1.0
    truncation: float = 0.01
    permutations: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        me = type(self).__name__
        if self.learner not in LEARNERS:
            raise SettingError(
                f"{me}: learner='{self.learner}'; {did_you_mean(self.learner, LEARNERS)}"
            )
        for setting in ("dimensions", "permutations"):
            value = getattr(self, setting)
            if value is not None and value < 1:
                raise SettingError(f"{me}: {setting}={value}; give at least 1")
        if not self.ridge > 0:
            raise SettingError(f"{me}: ridge={self.ridge}; give one above 0")
        if not 0 <= self.truncation < 1:
            raise SettingError(f"{me}: truncation={self.truncation}; give one from 0 to below 1")

    def _values(self, task: Labelled) -> Values:
        return self._taught(self._lesson(task))

    def _lesson(self, task: Labelled) -> Lesson:
        points, queries = principal(task.points, task.queries, self.dimensions)
        return Lesson(points, task.labels, queries, task.answers, task.classes, float(self.ridge))

    @abstractmethod
    def _taught(self, lesson: Lesson) -> Values:
        """Return the value of each of the lesson's points."""


@dataclass(kw_only=True, repr=False)
class DataShapley(LinearValuation):
    """Keep the examples that teach a linear classifier most, by Shapley or Beta-Shapley value.

    The score of an example is what it adds to the accuracy on the target when it joins
    others, averaged over the sets that it may join: with `semivalue="shapley"` all sizes
    count the same, with "beta" small sets count more, where a wrong label shows best.
    Shapley values add up to the accuracy of all less that of a guess, but for `truncation`.

    Parameters
    ----------
    target, embedder, label
        As in `Valuation`.
    learner, dimensions, ridge, truncation, seed
        As in `LinearValuation`.
    semivalue : {"shapley", "beta"}
    alpha, beta : float
        Of "beta": α above β favours small sets. (16, 1) is the paper's setting for finding
        wrong labels; (1, 1) is the Shapley value.
    permutations : int
        How many to draw at most.
    stop : {"noise", "change"}
        When to stop before that. "noise": when the share of the variance between values
        that is sampling error is at most `within`. "change", as in the paper: when values
        changed by at most `within` of themselves, on average, over the last 64 permutations.
    within : float
        0 never stops early.

    Notes
    -----
    Signals: `value`, the score; `error`, its standard error over permutations.

    The papers train a classifier anew for each set. Here it is warm: adding an example
    updates the ridge regression exactly, in O(dimensions · target) operations (25 µs for 32
    and 500), and the logistic one is fitted from where the last fit ended. Both see the
    first principal components of the vectors. Permutations are played on all cores, and
    results do not depend on how many.

    See Also
    --------
    KNNShapley : exact and quicker, for a nearest-neighbour classifier.
    TransferredShapley : for pools too large to play permutations of.

    References
    ----------
    Ghorbani and Zou, arXiv 1904.02868, algorithm 1. Kwon and Zou, arXiv 2110.14049.
    """

    name: ClassVar[str] = "data-shapley"
    semivalue: Literal["shapley", "beta"] = "shapley"
    alpha: float = 16.0
    beta: float = 1.0
    permutations: int = 2000
    stop: Literal["noise", "change"] = "noise"
    within: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting, known in (("semivalue", ("shapley", "beta")), ("stop", ("noise", "change"))):
            value = getattr(self, setting)
            if value not in known:
                raise SettingError(
                    f"DataShapley: {setting}='{value}'; {did_you_mean(value, known)}"
                )
        if not min(self.alpha, self.beta) > 0:
            raise SettingError(
                f"DataShapley: alpha={self.alpha}, beta={self.beta}; give both above 0"
            )

    def _taught(self, lesson: Lesson) -> Values:
        n = len(lesson.labels)
        sizes = weights(n, self.alpha, self.beta) if self.semivalue == "beta" else weights(n)
        found = estimate(
            play_of(lesson, self.truncation, last=places(sizes), learner=self.learner),
            sizes,
            permutations=self.permutations,
            seed=self.seed,
            stop=self.stop,
            within=self.within,
        )
        return Values(found.values, {"error": found.errors})


def play_of(
    lesson: Lesson, truncation: float, last: int | None = None, learner: str = "ridge"
) -> Play:
    """Return what plays a permutation: each example's contribution to accuracy, in its order."""
    n, learn = len(lesson.labels), LEARNERS[learner]
    whole = learn(lesson, np.arange(n), n, 0.0, 0.0)[-1]
    return partial(_played, learn, lesson, last or n, whole, truncation * whole)


def _played(
    learn: Learner,
    lesson: Lesson,
    last: int,
    whole: float,
    tolerance: float,
    order: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    return np.diff(learn(lesson, order, last, whole, tolerance))
