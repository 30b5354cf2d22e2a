"""How sure it is that one way of choosing trains better than a random draw.

Two things are drawn. The *picks*: another random draw, or another seed of the method, would
have trained another model. And the *held-out examples*: others would have given another
loss. Both spreads count. What is compared on the same examples is compared example by
example, so that how hard an example is does not count at all.

    gain     mean loss after random draws, less that after the method's picks
    picks    s_r²/R + s_m²/M   the spread of the models' mean losses, over R draws and M picks
    examples s_e²              the variance of the gain over resampled examples (bootstrap)
    interval gain ± t · sqrt(s_r²/R + s_m²/M + s_e²)

t is Student's, with the degrees of freedom of Welch and Satterthwaite: with three seeds a
spread is itself a guess, and a bootstrap over three models would take it for known. A method
that picks the same rows under every seed has one pick (M = 1), however often it is trained:
as lucky as one draw may be. Its spread is then taken to be the draws' own.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Gain", "gain", "t_quantile"]

Floats = npt.NDArray[np.float64]

_RESAMPLES = 2000
_GRID = 40_001


@dataclass(frozen=True)
class Gain:
    """By how much one way beats another, and how sure that is.

    Attributes
    ----------
    mean : float
        Above 0 where it is better.
    half_width : float
        The interval is mean ± this; NaN where too little was drawn to know it.
    """

    mean: float
    half_width: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return abs(self.mean) > self.half_width  # False for NaN


def gain(
    ours: Floats,
    theirs: Floats,
    weights: Floats,
    picks: npt.NDArray[np.int64],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Gain:
    """Return by how much our losses are below theirs.

    Parameters
    ----------
    ours : float64 array of shape (s, e)
        What each of our models lost on each held-out example: a sum, such as of nats.
    theirs : float64 array of shape (r, e)
        The same of theirs: random draws, each another one.
    weights : float64 array of shape (e,)
        What a sum is a sum of, such as tokens; a model's loss is Σ losses / Σ weights.
    picks : int64 array of shape (s,)
        Models of ours with equal numbers were trained on equal rows.
    confidence : float
    seed : int
        Of the resampled examples.

    Examples
    --------
    >>> theirs = np.array([[2.0, 4.1], [2.1, 4.0], [1.9, 4.2]])
    >>> result = gain(theirs - 0.5, theirs, np.ones(2), np.arange(3))
    >>> round(result.mean, 6), result.clear
    (0.5, True)
    """
    ours = np.stack([ours[picks == pick].mean(axis=0) for pick in np.unique(picks)])
    difference = theirs.mean(axis=0) - ours.mean(axis=0)
    mean = float(difference.sum() / weights.sum())
    parts = [*_between(theirs, ours, weights), _over_examples(difference, weights, seed)]
    variance = sum(part for part, _ in parts)
    if not np.isfinite(variance):
        return Gain(mean, float("nan"))
    if variance == 0:
        return Gain(mean, 0.0)
    freedom = variance**2 / sum(part**2 / df for part, df in parts)
    return Gain(mean, t_quantile(0.5 + confidence / 2, freedom) * float(np.sqrt(variance)))


def t_quantile(p: float, freedom: float) -> float:
    """Return the quantile of Student's t: of `p`, above a half, and at least 1 degree of freedom.

    The density in the angle θ = atan(t/√ν) is that of cos^(ν-1) θ, summed on a grid; from
    20,000 degrees on it is the normal one's.

    >>> round(t_quantile(0.975, 2), 3), round(t_quantile(0.975, 1e9), 3)
    (4.303, 1.96)
    """
    freedom = min(freedom, 20_000.0)
    widest = min(np.pi / 2, 40 / np.sqrt(freedom))  # beyond it there is nothing to sum
    angles = np.linspace(0, widest, _GRID)
    density = np.cos(angles) ** (freedom - 1)
    below = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    angle = np.interp(2 * p - 1, below / below[-1], angles)
    return float(np.sqrt(freedom) * np.tan(angle))


def _between(theirs: Floats, ours: Floats, weights: Floats) -> list[tuple[float, float]]:
    """Return the variance of each mean over its picks, with its degrees of freedom."""
    r, m = len(theirs), len(ours)
    spread = {
        name: float(np.var(models.sum(axis=1) / weights.sum(), ddof=1)) if len(models) > 1 else None
        for name, models in (("theirs", theirs), ("ours", ours))
    }
    known = spread["theirs"] if spread["theirs"] is not None else spread["ours"]
    if known is None:
        return [(float("nan"), 1.0)]
    if spread["theirs"] is None or spread["ours"] is None:
        return [(known * (1 / r + 1 / m), float(max(r, m) - 1))]
    return [(spread["theirs"] / r, float(r - 1)), (spread["ours"] / m, float(m - 1))]


def _over_examples(difference: Floats, weights: Floats, seed: int) -> tuple[float, float]:
    """Return the variance of the gain over resampled examples, with its degrees of freedom."""
    n = len(weights)
    if n < 2:
        return float("nan"), 1.0
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)
    resampled = (drawn @ difference) / (drawn @ weights)
    return float(np.var(resampled)) * n / (n - 1), float(n - 1)
