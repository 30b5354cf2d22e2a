"""Losses of a retriever that learns from a language model's ranking, with their gradients.

Of each query's candidates, which stand in the model's order, best first, r(1) = 1:

    L_rank = Σ_{i before j} (1/r(i) − 1/r(j)) · ln(1 + exp(s_j − s_i))
    L_batch = −ln( exp(s_best) / Σ over all candidates in the batch of exp(s) )

(Li et al., arXiv 2305.04320, equations 4 and 5.)
"""

import numpy as np
import numpy.typing as npt

__all__ = ["in_batch_loss", "rank_loss"]

Floats = npt.NDArray[np.float64]


def rank_loss(
    similarity: Floats, gains: Floats | None = None, *, reference: bool = False
) -> tuple[float, Floats]:
    """Return L_rank, summed over queries, and its gradient.

    Parameters
    ----------
    similarity : float64 array of shape (q, l)
        Of each query to its candidates, which are in the language model's order.
    gains : float64 array of shape (q, l), optional
        What the model gave them, falling: candidates that it finds alike share the best rank
        of theirs, so that nothing is learnt of their order. By default all differ.
    reference : bool
        Do as the released code does: a pair weighs |1/p_i − 1/p_j|, p the places in the order
        of `similarity`, and the mean over all pairs is returned.

    Returns
    -------
    loss : float
    gradient : float64 array of shape (q, l)

    Examples
    --------
    >>> round(rank_loss(np.zeros((1, 2)))[0], 5)  # (1 − 1/2) · ln 2
    0.34657
    """
    if reference:
        place = np.argsort(np.argsort(-similarity, axis=1, kind="stable"), axis=1) + 1.0
        weight = np.abs(1 / place[:, :, None] - 1 / place[:, None, :])
    else:
        rank = 1 / _ranks(similarity if gains is None else gains, alike=gains is not None)
        weight = rank[:, :, None] - rank[:, None, :]
    weight = np.triu(weight, 1)
    if reference:
        weight = weight / max(np.count_nonzero(weight), 1)
    behind = similarity[:, None, :] - similarity[:, :, None]  # s_j − s_i
    pull = weight * _sigmoid(behind)
    loss = float((weight * np.logaddexp(0, behind)).sum())
    return loss, pull.sum(axis=1) - pull.sum(axis=2)


def in_batch_loss(similarity: Floats, best: npt.NDArray[np.int64]) -> tuple[float, Floats]:
    """Return L_batch, the mean over queries, and its gradient.

    Parameters
    ----------
    similarity : float64 array of shape (q, m)
        Of each query to all candidates in the batch.
    best : int64 array of shape (q,)
        Which of them the language model put first for the query.

    Examples
    --------
    >>> round(in_batch_loss(np.zeros((1, 8)), np.array([3]))[0], 5)  # ln 8
    2.07944
    """
    rows = np.arange(len(similarity))
    shifted = similarity - similarity.max(axis=1, keepdims=True)
    share = np.exp(shifted)
    total = share.sum(axis=1, keepdims=True)
    loss = float((np.log(total[:, 0]) - shifted[rows, best]).mean())
    gradient = share / total
    gradient[rows, best] -= 1
    return loss, gradient / len(rows)


def _ranks(gains: Floats, *, alike: bool) -> Floats:
    """Return 1 for the first of each row, 2 for the second, …; equal ones share the first's."""
    places = np.broadcast_to(np.arange(1.0, gains.shape[1] + 1), gains.shape)
    starts = np.ones(gains.shape, bool)
    starts[:, 1:] = (gains[:, 1:] != gains[:, :-1]) | (not alike)
    ranks: Floats = np.maximum.accumulate(np.where(starts, places, 0), axis=1)
    return ranks


def _sigmoid(x: Floats) -> Floats:
    shares: Floats = np.exp(-np.logaddexp(0, -x))
    return shares
