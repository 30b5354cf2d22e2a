"""How much a step on one example lowers the loss on a target: LESS (arXiv 2402.04333).

Adam would move the parameters along −Γ, where from a gradient g and Adam's moments m, v
after t steps

    m' = β₁ m + (1 − β₁) g,   v' = β₂ v + (1 − β₂) g²
    Γ  = m'/(1 − β₁^(t+1)) / (√(v'/(1 − β₂^(t+1))) + ε)           the paper
    Γ  = m' / √(v' + ε)                                       the released code

The influence of the example on a task of the target is cos(∇, Γ), with ∇ the mean gradient
of the task's examples. The released code takes the mean of the cosines instead.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from tamis.kernels.distances import unit

__all__ = ["BETAS", "EPSILON", "adam_directions", "task_directions"]

Floats = npt.NDArray[np.float32]

BETAS = (0.9, 0.999)
EPSILON = 1e-8


def adam_directions(
    gradients: Floats, first: Floats, second: Floats, steps: int, *, reference: bool = False
) -> Floats:
    """Return Γ for each gradient: where Adam would go next, had the batch been this example.

    Parameters
    ----------
    gradients : float32 array of shape (n, p)
    first, second : float32 arrays of shape (p,)
        Adam's moments m and v, as they are kept: not corrected for their bias.
    steps : int
        How many steps Adam has taken, t.
    reference : bool
        The released code's form.

    Returns
    -------
    float32 array of shape (n, p)

    Examples
    --------
    >>> g, m, v = (np.array(x, np.float32) for x in ([[0.2, -0.1]], [0.1, 0], [0.04, 0.01]))
    >>> adam_directions(g, m, v, steps=10, reference=True).round(4).tolist()
    [[0.550000011920929, -0.10000000149011612]]
    """
    ends = (1.0, 1.0) if reference else tuple(1 - beta ** (steps + 1) for beta in BETAS)
    under, beside = (EPSILON, 0.0) if reference else (0.0, EPSILON)
    directions = np.empty_like(gradients, np.float32)
    _directions(gradients, first, second, *ends, under, beside, directions)
    return directions


def task_directions(
    gradients: Floats, tasks: npt.NDArray[np.int64], *, reference: bool = False
) -> npt.NDArray[np.float64]:
    """Return, for each task, the vector whose product with a Γ of length 1 is the influence.

    Parameters
    ----------
    gradients : float array of shape (m, d)
        Of the target's examples.
    tasks : int64 array of shape (m,)
        The task of each example: 0, 1, …, none left out.
    reference : bool
        The mean of the examples' directions, in place of the direction of their mean.

    Returns
    -------
    float64 array of shape (tasks, d)
        NaN where a task's gradients cancel out, or are all zero.
    """
    counts = np.bincount(tasks)
    members = (tasks == np.arange(len(counts))[:, None]) / counts[:, None]
    wide = gradients.astype(np.float64)
    return np.asarray(members @ unit(wide) if reference else unit(members @ wide), np.float64)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _directions(
    gradients: Floats,
    first: Floats,
    second: Floats,
    first_end: float,
    second_end: float,
    under: float,
    beside: float,
    out: Floats,
) -> None:
    for i in range(gradients.shape[0]):
        for j in range(gradients.shape[1]):
            g = float(gradients[i, j])
            m = BETAS[0] * first[j] + (1 - BETAS[0]) * g
            v = BETAS[1] * second[j] + (1 - BETAS[1]) * g * g
            below = np.sqrt(v / second_end + under) + beside
            out[i, j] = m / first_end / below
