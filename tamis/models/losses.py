"""How likely a language model finds texts: mean losses, and why a text has none."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tamis.models import load
from tamis.models.base import LanguageModel
from tamis.models.cached import CachedLM
from tamis.models.contexts import answered, fits

__all__ = ["Losses", "lm_of", "mean_losses"]

_EMPTY = "the text is empty"
_TOO_LONG = "prompt and text are longer than the model's context"
_TOO_SHORT = "the text is too short: no token has a probability"


class Losses(NamedTuple):
    """What a model makes of some texts.

    Attributes
    ----------
    means : float64 array of shape (n,)
        Mean negative log-likelihood of a token, in nats; NaN where there is none.
    tokens : int64 array of shape (n,)
        How many tokens it is a mean of.
    why : str array of shape (n,)
        Why a text has no loss; '' where it has one.
    """

    means: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]
    why: npt.NDArray[np.object_]


def mean_losses(
    lm: CachedLM, prompts: Sequence[str], continuations: Sequence[str] | None = None
) -> Losses:
    """Return the loss of each continuation given its prompt, or of each prompt.

    A continuation that does not fit the model's context together with its prompt has none:
    read in parts, it would be scored as if there were no prompt. A text alone is read in
    windows, however long it is. What a server refuses for what is in it has none either.
    """
    n = len(prompts)
    why = np.empty(n, object)
    why.fill(_TOO_SHORT)  # one text: `np.full` makes one a row
    if continuations is not None:
        why[~fits(lm.lm, prompts, continuations, room=1)] = _TOO_LONG  # vLLM writes a token
    why[[not text.strip() for text in (prompts if continuations is None else continuations)]] = (
        _EMPTY
    )

    def ask(rows: list[int]) -> list[tuple[float, float]]:
        after = None if continuations is None else [continuations[i] for i in rows]
        return [
            (sum_, count) for sum_, count in lm.losses([prompts[i] for i in rows], after).tolist()
        ]

    found, refused = answered(np.flatnonzero(why == _TOO_SHORT).tolist(), ask)
    sums = np.full((n, 2), [np.nan, 0.0])
    if found:
        sums[[*found]] = [*found.values()]
    for i, said in refused.items():
        why[i] = said
    why[sums[:, 1] > 0] = ""
    with np.errstate(invalid="ignore"):
        means = -sums[:, 0] / sums[:, 1]
    return Losses(means, sums[:, 1].astype(np.int64), why)


def lm_of(lm: LanguageModel | str) -> LanguageModel:
    """Return the model itself, or load the one of that name; the last two are remembered."""
    return _loaded(lm) if isinstance(lm, str) else lm


@lru_cache(maxsize=2)
def _loaded(name: str) -> LanguageModel:
    return load(name)
