"""AlpaGasus: a judge rates each answer, and those of at least 4.5 of 5 are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data import formats
from tamis.errors import SettingError
from tamis.models.judges import Judge, judge_of
from tamis.selectors.base import Scorer
from tamis.selectors.pickers import threshold
from tamis.selectors.selection import KEPT, Selection

__all__ = ["AlpaGasus"]

_QUOTED = 80  # characters of a judge's words in a reason


@dataclass(kw_only=True, repr=False)
class AlpaGasus(Scorer):
    """Keep the answers that a judge rates at least 4.5 of 5.

    The score of an example is the rating of its response, 0 to 5. A row that the judge gave
    no rating (nonsense, a refusal, a response that is empty or too long for it) has no score
    and is never kept; its reason repeats what the judge said.

    Parameters
    ----------
    judge : Judge or str
        Anything that `tamis.models.load_judge` takes. A language model is asked for the
        *accuracy* of the response, as in the paper; `LMJudge(lm, dimension="helpfulness")`
        asks for another dimension. The default is the bundled quality scorer: quick, and
        weak (its card says how weak).
    least : float
        The lowest rating that is kept.

    Notes
    -----
    Signals: `rating`, the score; `words`, what the judge said. `k` keeps the best `k` of
    those that pass, ties by id; without it all that pass are kept. A judge that is a language
    model writes up to 256 tokens a row, once: what it wrote is kept in the feature store, and
    another `least` or `k` costs nothing. The paper's judge was gpt-3.5-turbo, whose ratings
    come in steps of 0.5.

    A filter on one dimension can starve whole kinds of tasks: look at what is left of each.

    See Also
    --------
    DEITA : a rating by the model's expected grade, then diversity.

    References
    ----------
    Chen et al., arXiv 2307.08701.
    """

    name: ClassVar[str] = "alpagasus"
    needs_k: ClassVar[bool] = False
    judge: Judge | str = "bundled"
    least: float = 4.5

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 5:
            raise SettingError(f"AlpaGasus: least={self.least}; give a rating from 0 to 5")

    def fit(self, pool: Dataset) -> Self:
        """Load the judge; return self."""
        self.judge_ = judge_of(self.judge)
        return self

    def measure(self, batch: pa.Table) -> dict[str, npt.NDArray[Any]]:
        """Return the judge's rating of each row, and its words.

        Raises
        ------
        DataError
            If the rows are plain text.
        """
        prompts, responses = formats.exchange(batch)
        ratings = self.judge_.rate(prompts.to_pylist(), responses.to_pylist())
        return {"rating": ratings.scores, "words": np.array(ratings.words, object)}

    def score_of(self, signals: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return each row's rating; NaN where the judge gave none."""
        return signals["rating"]

    def _pick(
        self,
        ids: npt.NDArray[np.void],
        signals: Mapping[str, npt.NDArray[Any]],
        scores: npt.NDArray[np.float64],
        k: int | None,
    ) -> Selection:
        passed = threshold(scores, ids, self.least)
        indices = passed[:k]
        reasons = np.full(len(scores), "", dtype=object)
        unrated = np.isnan(scores)
        reasons[unrated] = [_unrated(words) for words in signals["words"][unrated]]
        low = scores < self.least
        reasons[low] = [f"rating {score:.3g}, below {self.least:g}" for score in scores[low]]
        reasons[passed] = [
            f"rating {score:.3g}, not among the best {k}" for score in scores[passed]
        ]
        reasons[indices] = KEPT
        return Selection(indices, scores, reasons, pa.table(dict(signals)))


def _unrated(words: str) -> str:
    if not words:
        return "no rating"
    said = " ".join(words.split())
    return f"no rating: {said[:_QUOTED]!r}" + ("…" if len(said) > _QUOTED else "")
