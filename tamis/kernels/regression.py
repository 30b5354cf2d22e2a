"""Least squares with an intercept, and which of the columns matter."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Regression", "significant"]

Floats = npt.NDArray[np.float64]


class Regression(NamedTuple):
    """A linear rule that was fitted.

    Attributes
    ----------
    columns : int64 array of shape (c,)
        Those that are in the rule, ascending.
    constant : float
    coefficients : float64 array of shape (c,)
    errors : float64 array of shape (c,)
        Standard errors of the coefficients.
    determination : float
        R²: the share of the values' variance that the rule explains.
    """

    columns: npt.NDArray[np.int64]
    constant: float
    coefficients: Floats
    errors: Floats
    determination: float


def significant(table: Floats, values: Floats, least: float = 2.0) -> Regression:
    """Fit a rule to all columns, then without the least certain one, until all are certain.

    Parameters
    ----------
    table : float64 array of shape (n, p)
        Finite. n is at least p + 2.
    values : float64 array of shape (n,)
    least : float
        A coefficient is certain if it is this many standard errors from 0. 0 keeps all.

    Notes
    -----
    A column that is constant, or a sum of multiples of those before it, is left out.

    Examples
    --------
    >>> x = np.arange(8.0)
    >>> noise = np.array([1, -1, 1, -1, -1, 1, -1, 1]) / 100
    >>> rule = significant(np.column_stack([x, np.ones(8), x**2]), 3 + 2 * x + noise)
    >>> rule.columns.tolist(), round(rule.constant, 9), rule.coefficients.round(9).tolist()
    ([0], 3.0, [2.0])
    """
    columns = _independent(table)
    while True:
        rule = _fitted(table, values, columns)
        certainty = np.abs(rule.coefficients) / rule.errors
        if not len(columns) or certainty.min() >= least:
            return rule
        columns = np.delete(columns, certainty.argmin())


def _independent(table: Floats) -> npt.NDArray[np.int64]:
    found: list[int] = []
    basis = np.ones((len(table), 1)) / np.sqrt(len(table))
    for column in range(table.shape[1]):
        rest = table[:, column] - basis @ (basis.T @ table[:, column])
        rest -= basis @ (basis.T @ rest)  # once more: rounding
        length = np.linalg.norm(rest)
        if length > 1e-9 * np.linalg.norm(table[:, column]):
            found.append(column)
            basis = np.column_stack([basis, rest / length])
    return np.array(found, np.int64)


def _fitted(table: Floats, values: Floats, columns: npt.NDArray[np.int64]) -> Regression:
    means = table[:, columns].mean(axis=0)
    scales = table[:, columns].std(axis=0)
    inside = (table[:, columns] - means) / scales
    centred = values - values.mean()
    coefficients = np.linalg.lstsq(inside, centred, rcond=None)[0]
    rest = centred - inside @ coefficients
    variance = rest @ rest / (len(values) - len(columns) - 1)
    spread = np.diag(np.linalg.inv(inside.T @ inside)) * variance
    total = centred @ centred
    own = coefficients / scales
    return Regression(
        columns,
        float(values.mean() - means @ own),
        own,
        np.maximum(np.sqrt(spread) / scales, np.finfo(np.float64).tiny),
        float(1 - rest @ rest / total) if total > 0 else 1.0,
    )
