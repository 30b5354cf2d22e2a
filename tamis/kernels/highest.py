"""The highest of many scores, without sorting them all."""

import numpy as np
import numpy.typing as npt

__all__ = ["highest"]


def highest(scores: npt.NDArray[np.floating], n: int) -> npt.NDArray[np.int64]:
    """Return the places of the `n` highest scores, highest first, ties by lowest index.

    −inf and NaN are no scores: fewer come back where there are too few others.

    >>> highest(np.array([1.0, 3.0, -np.inf, 3.0, 2.0]), 2).tolist()
    [1, 3]
    """
    there = np.flatnonzero(scores > -np.inf)
    if len(there) > n:
        least = np.partition(scores[there], -n)[-n]
        there = there[scores[there] >= least]
    return there[np.argsort(-scores[there], kind="stable")][:n]
