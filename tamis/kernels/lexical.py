"""MTLD, the measure of textual lexical diversity: how long a text goes on without repeating."""

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["mtld"]

_FACTOR = 0.72  # share of different words at which a stretch ends
_FEWEST = 10  # words below which there is no measure


def mtld(words: npt.NDArray[np.int64]) -> float:
    """Return the mean length of a stretch of words whose share of different ones stays above 0.72.

    Parameters
    ----------
    words : int64 array of shape (n,)
        Numbers of the words, from 0, in the order of the text.

    Returns
    -------
    float
        Mean of the measures from the front and from the back (McCarthy and Jarvis 2010); NaN
        below ten words, and n where no word comes twice.

    Examples
    --------
    >>> mtld(np.array([0, 1] * 6)), mtld(np.arange(12))
    (3.0, 12.0)
    """
    if len(words) < _FEWEST:
        return float("nan")
    return float((_stretch(words) + _stretch(words[::-1])) / 2)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _stretch(words: npt.NDArray[np.int64]) -> float:
    met = np.full(words.max() + 1, -1)  # the stretch in which each word was met last
    stretches, different, length = 0, 0, 0
    for word in words:
        length += 1
        if met[word] != stretches:
            met[word] = stretches
            different += 1
        if different / length <= _FACTOR:
            stretches += 1
            different, length = 0, 0
    part = (1 - different / length) / (1 - _FACTOR) if length else 0.0
    return len(words) / (stretches + part) if stretches + part > 0 else float(len(words))
