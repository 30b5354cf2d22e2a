"""The plane in which points differ most, for a map of them."""

import numpy as np
import numpy.typing as npt

__all__ = ["principal_plane"]

_BLOCK, _ROUNDS = 16, 60


def principal_plane(
    points: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Project points on their first two principal components.

    Parameters
    ----------
    points : float array of shape (n, d)
        Finite coordinates, n and d at least 1.

    Returns
    -------
    places : float64 array of shape (n, 2)
        Coordinates in the plane, around the mean; an axis along which nothing differs is 0.
    shares : float64 array of shape (2,)
        The share of the variance along each axis, the larger first; 0 where all points are one.

    Notes
    -----
    An axis points where its component of largest size is positive, so that order of rows
    does not mirror the map. Subspace iteration, not a whole decomposition: LAPACK's threads
    wait for each other while a run has the cores (25 s in the place of 0.1 s for d = 256, on
    two cores with a load of 16). Time O(n d²), memory O(n d).

    References
    ----------
    Pearson 1901, On lines and planes of closest fit to systems of points in space.

    Examples
    --------
    >>> places, shares = principal_plane(np.array([[0.0, 0], [3, 4], [6, 8]]))
    >>> (places.round(9) + 0).tolist(), shares.round(9).tolist()
    ([[-5.0, 0.0], [0.0, 0.0], [5.0, 0.0]], [1.0, 0.0])
    """
    centred = np.asarray(points, np.float64) - points.mean(axis=0, dtype=np.float64)
    covariance = centred.T @ centred
    first = _leading(covariance)
    first = first * np.where(first[np.abs(first).argmax(axis=0), range(first.shape[1])] < 0, -1, 1)
    places, shares = np.zeros((len(centred), 2)), np.zeros(2)
    places[:, : first.shape[1]] = centred @ first
    if np.trace(covariance) > 0:
        shares = (places**2).sum(axis=0) / np.trace(covariance)
    return places, shares


def _leading(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the eigenvectors of a symmetric matrix with the two largest eigenvalues."""
    block = np.random.default_rng(0).normal(size=(len(matrix), min(len(matrix), _BLOCK)))
    for _ in range(_ROUNDS):
        block = np.linalg.qr(matrix @ block)[0]
    _, turns = np.linalg.eigh(block.T @ matrix @ block)  # the least first
    return np.asarray(block @ turns[:, ::-1][:, :2])
