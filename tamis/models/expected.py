"""A judge that writes nothing: the grade that a language model would expect itself to give."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tamis.data.features import FeatureStore
from tamis.models.base import LanguageModel
from tamis.models.cached import CachedLM
from tamis.models.fingerprint import digest
from tamis.models.judges import Ratings
from tamis.models.losses import mean_losses

__all__ = ["ExpectedGrade", "expected"]

GRADES = tuple("123456")


class ExpectedGrade:
    """Grades from 1 to 6 by the chances of the six digits as a language model's next token.

    So are DEITA's scorers read: 'hkust-nlp/deita-complexity-scorer' and
    'hkust-nlp/deita-quality-scorer', which were tuned to answer with one digit.

    Parameters
    ----------
    lm : LanguageModel
        One that gives log-probabilities.
    template : str
        What it is asked, with '{instruction}' and '{output}' where the two are to stand. It
        ends where the digit follows.
    store : FeatureStore, optional
        Default: the one in `TAMIS_HOME`.
    progress : bool
        Draw a bar on stderr, when that is a terminal.

    References
    ----------
    Liu et al., arXiv 2312.15685, section 2.
    """

    def __init__(
        self,
        lm: LanguageModel,
        template: str,
        *,
        store: FeatureStore | None = None,
        progress: bool = True,
    ) -> None:
        self.lm, self.template = lm, template
        self._cached = CachedLM(lm, store=store, progress=progress)

    def __repr__(self) -> str:
        return f"ExpectedGrade({self.lm!r})"

    @property
    def fingerprint(self) -> str:
        """Digest of the model and of what it is asked."""
        return digest(self.lm.fingerprint, self.template)

    def rate(self, prompts: Sequence[str], responses: Sequence[str]) -> Ratings:
        """Grade each response, or its prompt: which of the two, the template says.

        What does not fit the model's context has no grade.
        """
        asked = [
            self.template.format(instruction=prompt, output=response)
            for prompt, response in zip(prompts, responses, strict=True)
            for _ in GRADES
        ]
        found = mean_losses(self._cached, asked, GRADES * len(prompts))
        logprobs = np.where(found.tokens, -found.means * found.tokens, np.nan)
        each = logprobs.reshape(-1, len(GRADES))
        words = found.why.reshape(-1, len(GRADES))[:, 0].tolist()
        return Ratings(expected(each), words)


def expected(logprobs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean grade under each row's chances, renormalised: float64 of shape (n,).

    Parameters
    ----------
    logprobs : float64 array of shape (n, 6)
        Of the digits 1 to 6, up to a constant a row. A NaN makes the grade NaN.

    >>> expected(np.array([[0.1, 0.2, 0.5, 1.0, 0.3, -0.4]])).round(5).tolist()
    [3.45872]
    """
    chances = np.exp(logprobs - logprobs.max(axis=1, keepdims=True, initial=-np.inf))
    grades = np.arange(1, logprobs.shape[1] + 1)
    means: npt.NDArray[np.float64] = (chances * grades).sum(axis=1) / chances.sum(axis=1)
    return means
