r"""Shapley and Beta-Shapley values of any game, from permutations drawn at random.

A semivalue of player i is Σ_j ω_j Δ_j(i), where Δ_j(i) is the mean of v(S ∪ i) − v(S) over
the sets S of j − 1 others, and the weights ω of n sizes add up to 1. In a permutation drawn
at random i stands at place j as often as at any other, behind a set drawn at random, so
n ω_j times its marginal contribution there is a draw whose mean is the semivalue (Ghorbani
and Zou, arXiv 1904.02868; Kwon and Zou, arXiv 2110.14049).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import lgamma
from typing import Literal

import numpy as np
import numpy.typing as npt

from tamis.kernels.threads import spread

__all__ = ["Estimate", "Play", "estimate", "permutation", "places", "weights"]

Play = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]
"""From an order of players to the marginal contribution of each, in that order."""

_PIECE = 16  # permutations a piece of work
_ROUND = 64  # permutations between two looks at the error
_NEGLIGIBLE = 1e-3  # weight of the sizes that may be left out


@dataclass(frozen=True, eq=False)
class Estimate:
    """What was learnt of a game.

    Attributes
    ----------
    values, errors : float64 arrays of shape (n,)
        Means over the permutations, and their standard errors.
    permutations : int
        How many were drawn.
    """

    values: npt.NDArray[np.float64]
    errors: npt.NDArray[np.float64]
    permutations: int

    @property
    def noise(self) -> float:
        """The share of the variance between values that is sampling error; 1 where all are."""
        variance = self.values.var()
        return float((self.errors**2).mean() / variance) if variance > 0 else 1.0


def weights(n: int, alpha: float = 1.0, beta: float = 1.0) -> npt.NDArray[np.float64]:
    """Return the weight of each size of set, of 0 to n − 1 others: float64, with sum 1.

    With α = β = 1 all are equal, which gives the Shapley value. α > β favours small sets,
    where a bad example shows; α < β large ones.

    >>> weights(4, 16, 1).round(5).tolist()
    [0.84211, 0.14035, 0.01651, 0.00103]
    """
    size = np.arange(1, n + 1)
    logs = [
        lgamma(n) - lgamma(j) - lgamma(n - j + 1)  # of C(n − 1, j − 1)
        + _log_beta(j + beta - 1, n - j + alpha) - _log_beta(alpha, beta)
        for j in size.tolist()
    ]  # fmt: skip
    return np.exp(logs)


def places(weights: npt.NDArray[np.float64]) -> int:
    """Return how many places of a permutation need to be played: later ones weigh nothing.

    >>> places(weights(1000)), places(weights(1000, 16, 1))
    (1000, 354)
    """
    if np.ptp(weights) <= 1e-9 * weights.max():
        return len(weights)
    return int(np.searchsorted(np.cumsum(weights), 1 - _NEGLIGIBLE)) + 1


def permutation(n: int, seed: int, number: int) -> npt.NDArray[np.int64]:
    """Return the permutation of n players with this number; it depends on nothing else."""
    counter = np.random.Philox(key=np.array([seed % 2**64, number], np.uint64))
    return np.random.Generator(counter).permutation(n)


def estimate(
    play: Play,
    weights: npt.NDArray[np.float64],
    *,
    permutations: int,
    seed: int = 0,
    stop: Literal["noise", "change"] = "noise",
    within: float = 0.0,
) -> Estimate:
    """Estimate the semivalues of a game.

    Parameters
    ----------
    play : function
        Plays one permutation; it is called by several threads at once.
    weights : float64 array of shape (n,)
        From `weights`.
    permutations : int
        How many to draw at most.
    seed : int
    stop : {"noise", "change"}
        When to stop before that. "noise": when the share of the variance between values
        that is sampling error is at most `within`. "change": when values changed by at most
        `within` of themselves, on average, over the last 64 permutations.
    within : float
        0 never stops early.

    Notes
    -----
    Permutations are numbered, and sums go by number: results do not depend on threads.
    """
    n = len(weights)
    total, squares = np.zeros(n), np.zeros(n)
    found = Estimate(total, np.full(n, np.inf), 0)
    for start in range(0, permutations, _ROUND):
        last = min(start + _ROUND, permutations)
        pieces = [range(at, min(at + _PIECE, last)) for at in range(start, last, _PIECE)]
        for part, part_squares in spread(partial(_played, play, n * weights, seed), pieces):
            total += part
            squares += part_squares
        before, found = found, _estimated(total, squares, last)
        unsettled = found.noise if stop == "noise" else _change(before, found)
        if start and within > 0 and unsettled <= within:
            break
    return found


def _played(
    play: Play, scale: npt.NDArray[np.float64], seed: int, numbers: range
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the sums of weighted contributions and of their squares."""
    total, squares = np.zeros(len(scale)), np.zeros(len(scale))
    for number in numbers:
        order = permutation(len(scale), seed, number)
        drawn = scale * play(order)
        total[order] += drawn
        squares[order] += drawn * drawn
    return total, squares


def _estimated(
    total: npt.NDArray[np.float64], squares: npt.NDArray[np.float64], count: int
) -> Estimate:
    values = total / count
    with np.errstate(invalid="ignore"):  # one permutation has no error
        variance = np.maximum(squares / count - values**2, 0) / np.float64(count - 1)
    return Estimate(values, np.sqrt(variance), count)


def _change(before: Estimate, after: Estimate) -> float:
    moved = np.abs(after.values - before.values)
    return float((moved / np.maximum(np.abs(after.values), 1e-12)).mean())


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
