"""DoReMi's weights of domains, by Group DRO (Xie et al., arXiv 2305.10429, algorithm 1).

With α the weights, λ the excess loss of each of k domains and u = 1/k:

    λ  = Σ max(ℓ_proxy − ℓ_reference, 0) / (number of tokens)        of the domain's tokens
    α' = α exp(η λ),   α ← (1 − c) α' / Σ α' + c u
"""

import numpy as np
import numpy.typing as npt

__all__ = ["excess_losses", "reweighted"]

Floats = npt.NDArray[np.float64]


def excess_losses(
    proxy: Floats, reference: Floats, domains: npt.NDArray[np.int64], before: Floats
) -> Floats:
    """Return λ, the mean excess loss a token of each domain, each token clipped at 0.

    Parameters
    ----------
    proxy, reference : float arrays of shape (t,)
        Loss of each token of a batch, by the model that is trained and by the reference.
    domains : int64 array of shape (t,)
        Each token's domain, from 0.
    before : float array of shape (k,)
        What a domain without tokens keeps.

    Returns
    -------
    float64 array of shape (k,)

    Examples
    --------
    >>> excess = np.array([0.4, -0.2, 0.6, 0.1, -0.5])
    >>> excess_losses(excess, np.zeros(5), np.array([0, 0, 0, 1, 1]), np.ones(3)).round(4).tolist()
    [0.3333, 0.05, 1.0]
    """
    tokens = np.bincount(domains, minlength=len(before))
    sums = np.bincount(domains, np.maximum(proxy - reference, 0), minlength=len(before))
    return np.where(tokens, sums / np.maximum(tokens, 1), before)


def reweighted(weights: Floats, excess: Floats, *, rate: float, smoothing: float) -> Floats:
    """Return the weights after one step: more for domains that the proxy can still improve on.

    Parameters
    ----------
    weights : float array of shape (k,)
        α, on the simplex.
    excess : float array of shape (k,)
        λ.
    rate : float
        η.
    smoothing : float
        c; no weight falls below c / k.

    Returns
    -------
    float64 array of shape (k,)
        On the simplex.

    Examples
    --------
    >>> weights, excess = np.array([0.5, 0.3, 0.2]), np.array([1 / 3, 0.1, 0])
    >>> reweighted(weights, excess, rate=1, smoothing=1e-3).round(6).tolist()
    [0.567384, 0.269758, 0.162857]
    """
    grown = weights * np.exp(rate * (excess - excess.max()))  # the shift cancels out
    return np.asarray((1 - smoothing) * grown / grown.sum() + smoothing / len(weights))
