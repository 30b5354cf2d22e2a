"""AlpaGasus: a judge rates each answer, and those of at least 4.5 of 5 are kept."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data import formats
from tamis.errors import SettingError
from tamis.models.judges import Judge, judge_of, unrated
from tamis.selectors.base import Scorer
from tamis.selectors.pickers import threshold
from tamis.selectors.selection import Selection, said_by, say_kept

__all__ = ["AlpaGasus"]


@dataclass(kw_only=True, repr=False)
class AlpaGasus(Scorer):
    """Keep the answers that a judge rates at least 4.5 of 5.

    The score of an example is the rating of its response. A row that the judge gave
    no rating (nonsense, a refusal, a response that is empty or too long for it) has no score
    and is never kept; its reason repeats what the judge said.

    Parameters
    ----------
    judge : Judge or str
        Anything that `tamis.models.load_judge` takes. A language model is asked for the
        *accuracy* of the response, as in the paper; `LMJudge(lm, dimension="helpfulness")`
        asks for another dimension. The default is the bundled quality scorer: quick, and
        weak (its card says how weak).
    least : float or None
        The lowest rating that is kept, on the judge's own scale: from 0 to 5, but for a
        reward model, whose logits have no ends. None keeps the best `k` of any rating.

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
    least: float | None = 4.5

    def __post_init__(self) -> None:
        if self.least is not None and math.isnan(self.least):
            raise SettingError("AlpaGasus: least is no number; give one, or None")

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
        least = -np.inf if self.least is None else self.least
        indices = threshold(scores, ids, least)[:k]

        def says(rows: slice) -> Iterator[str]:
            for score, words in zip(scores[rows].tolist(), signals["words"][rows], strict=True):
                if math.isnan(score):
                    yield unrated("rating", words)
                elif score < least:
                    yield f"rating {score:.3g}, below {least:g}"
                else:
                    yield f"rating {score:.3g}, not among the best {k}"

        reasons = said_by(says, len(scores))
        say_kept(reasons, indices)
        return Selection(indices, scores, reasons, pa.table(dict(signals)))
