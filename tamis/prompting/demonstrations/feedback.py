"""What a language model makes of demonstrations: how likely they make an answer, or each label."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tamis.errors import SettingError
from tamis.models.base import LanguageModel, Prompt
from tamis.models.cached import CachedLM
from tamis.prompting.demonstrations.base import Stock
from tamis.prompting.demonstrations.shots import Template

__all__ = ["distributions", "entropy", "label_losses", "labels_of", "log_likelihoods"]

Floats = npt.NDArray[np.float64]

_MOST_LABELS = 32


def log_likelihoods(
    lm: LanguageModel,
    prompts: Sequence[Prompt],
    responses: Sequence[str],
    template: Template,
    *,
    mean: bool = False,
    progress: bool = True,
) -> Floats:
    """Return the log-probability of each response after its prompt: float64 of shape (n,).

    The sum over its tokens, or their mean; NaN where no token has one. What was asked before,
    in this run or another, is taken from the feature store.
    """
    said = [template.continuation(response) for response in responses]
    sums, counts = CachedLM(lm, progress=progress).losses(prompts, said).T
    told: Floats = sums / np.where(counts > 0, counts, np.nan) if mean else sums
    return told


def label_losses(
    lm: LanguageModel,
    prompts: Sequence[Prompt],
    labels: Sequence[str],
    template: Template,
    *,
    progress: bool = True,
) -> Floats:
    """Return the mean loss of a token of each label after each prompt: (prompts, labels)."""
    each = [prompt for prompt in prompts for _ in labels]
    said = [*labels] * len(prompts)
    told = log_likelihoods(lm, each, said, template, mean=True, progress=progress)
    return -told.reshape(len(prompts), len(labels))


def distributions(losses: Floats) -> Floats:
    """Return the probability of each label: exp(−loss), over the sum of all labels'.

    >>> distributions(np.log([[2.0, 4.0]])).round(3).tolist()
    [[0.667, 0.333]]
    """
    likelihood = np.exp(losses.min(axis=-1, keepdims=True) - losses)
    share: Floats = likelihood / likelihood.sum(axis=-1, keepdims=True)
    return share


def entropy(probabilities: Floats) -> Floats:
    """Return the entropy of the last axis, in nats; 0 · ln 0 is 0.

    >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).round(4).tolist()
    [0.6931, 0.0]
    """
    safe = np.where(probabilities > 0, probabilities, 1.0)
    total: Floats = np.abs((probabilities * np.log(safe)).sum(axis=-1))
    return total


def labels_of(stock: Stock, who: str) -> list[str]:
    """Return the different responses of the examples, sorted.

    Raises
    ------
    SettingError
        If there are too many to be labels.
    """
    found = sorted({example.response for example in stock.examples})
    if len(found) > _MOST_LABELS:
        raise SettingError(
            f"{who}: the pool has {len(found)} different responses, which are no labels; "
            "give labels=[…], those that an answer can be"
        )
    return found
