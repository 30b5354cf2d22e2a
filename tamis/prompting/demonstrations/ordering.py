"""GlobalE and LocalE: the order of demonstrations that does not always give one answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from math import factorial
from typing import Literal

import numpy as np
import numpy.typing as npt

from tamis.errors import SettingError, did_you_mean
from tamis.models.base import LanguageModel
from tamis.models.losses import lm_of
from tamis.prompting.demonstrations.feedback import distributions, entropy, label_losses
from tamis.prompting.demonstrations.shots import PLAIN, Shots, Template

__all__ = ["By", "Ordering", "global_entropy", "local_entropy", "order"]

By = Literal["global-entropy", "local-entropy"]

_SMOOTHING = 1e-5  # of a label that was never predicted, as in the released code
_LONGEST_PROBE = 128  # tokens
_WARM = 2.0


@dataclass(frozen=True, eq=False)
class Ordering:
    """Demonstrations in the order found, and how the others compare.

    Attributes
    ----------
    best : Shots
    permutations : int64 array of shape (p, k)
        Those that were tried, highest entropy first, as places in the shots given.
    entropies : float64 array of shape (p,)
    probes : list of str
        The inputs on which they were tried.
    """

    best: Shots
    permutations: npt.NDArray[np.int64]
    entropies: npt.NDArray[np.float64]
    probes: list[str]


def order(
    shots: Shots,
    lm: LanguageModel | str = "bundled",
    *,
    by: By = "global-entropy",
    labels: Sequence[str] | None = None,
    probes: Sequence[str] | None = None,
    tries: int = 24,
    template: Template = PLAIN,
    seed: int = 0,
    progress: bool = True,
) -> Ordering:
    """Put demonstrations in the order under which a model's answers are most varied.

    The model itself writes the inputs on which orders are tried, one after each; no labelled
    data is needed.

    Parameters
    ----------
    shots : Shots
        Of a classification.
    lm : LanguageModel or str
    by : {'global-entropy', 'local-entropy'}
        Entropy of how often each label is predicted, or the mean entropy of a prediction.
    labels : sequence of str, optional
        By default the responses among the shots.
    probes : sequence of str, optional
        Inputs to try orders on, instead of the model's own.
    tries : int
        Orders, drawn where there are more; 24 are all of four shots.
    template : Template
    seed : int
        Of the draws, and of what the model writes.
    progress : bool
        Draw a bar on stderr, when that is a terminal.

    Raises
    ------
    SettingError
        If `by` is unknown, there are no shots, one label, or no inputs came.

    See Also
    --------
    MDL : chooses for each query, and wants little entropy where this wants much.

    References
    ----------
    Lu et al., arXiv 2104.08786.
    """
    measures = {"global-entropy": global_entropy, "local-entropy": local_entropy}
    if by not in measures:
        raise SettingError(f"order: no by='{by}'; {did_you_mean(by, measures)}")
    known = sorted({example.response for example in shots.examples}) if labels is None else labels
    if len(known) < 2 or not len(shots):
        raise SettingError(f"order: {len(known)} labels; give labels=, two or more")
    model = lm_of(lm)
    tried = _orders(len(shots), tries, seed)
    ordered = [shots.taken(places) for places in tried]
    asked = [*(probes or _written(ordered, model, template, seed))]
    if not asked:
        raise SettingError("order: the model wrote no inputs to try orders on; give probes=")
    prompts = [one.prompt(probe, template) for one in ordered for probe in asked]
    losses = label_losses(model, prompts, known, template, progress=progress)
    each = losses.reshape(len(tried), len(asked), len(known))
    entropies = np.array([measures[by](distributions(part)) for part in each])
    ranked = np.argsort(-entropies, kind="stable")
    return Ordering(ordered[ranked[0]], tried[ranked], entropies[ranked], asked)


def global_entropy(probabilities: npt.NDArray[np.float64]) -> float:
    """Return the entropy of how often each label is the likeliest, in nats.

    Parameters
    ----------
    probabilities : float64 array of shape (inputs, labels)

    Notes
    -----
    A label that is never predicted counts 1e-5 times, as in the released code.

    Examples
    --------
    >>> round(global_entropy(np.array([[0.9, 0.1], [0.2, 0.8]])), 4)
    0.6931
    """
    labels = probabilities.shape[1]
    counts = np.bincount(probabilities.argmax(axis=1), minlength=labels).astype(np.float64)
    counts[counts == 0] = _SMOOTHING
    return float(entropy(counts / counts.sum()))


def local_entropy(probabilities: npt.NDArray[np.float64]) -> float:
    """Return the mean entropy of the labels' probabilities, in nats.

    >>> round(local_entropy(np.array([[0.9, 0.1], [0.5, 0.5]])), 4)
    0.5091
    """
    return float(entropy(probabilities).mean())


def _orders(k: int, tries: int, seed: int) -> npt.NDArray[np.int64]:
    """Return `tries` different orders of k, or all: int64 of shape (tries, k)."""
    if factorial(k) <= tries:
        return np.array(list(permutations(range(k))), np.int64)
    rng = np.random.default_rng(seed)
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < tries:
        drawn[tuple(rng.permutation(k).tolist())] = None
    return np.array(list(drawn), np.int64)


def _written(ordered: list[Shots], lm: LanguageModel, template: Template, seed: int) -> list[str]:
    """Let the model go on after each order; return the inputs that it writes, each once."""
    text = Template(
        example=template.example, between=template.between, instruction=template.instruction
    )
    middle = text.parts[1]
    ends = [middle.strip() or middle, text.stop]
    openings = [str(one.prompt("", text)) for one in ordered]
    closing = len(middle.rstrip())
    prompts = [opening[: len(opening) - closing].rstrip() for opening in openings]
    said = lm.generate(prompts, max_tokens=_LONGEST_PROBE, temperature=_WARM, stop=ends, seed=seed)
    return [*dict.fromkeys(probe for one in said if (probe := one.text.strip()))]
