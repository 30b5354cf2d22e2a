"""What methods share that go by rules: one number of a row, held against a limit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from tamis.selectors.base import Scorer
from tamis.selectors.selection import one_reason

__all__ = ["Rule", "RuleScorer", "Signals"]

Signals = Mapping[str, npt.NDArray[Any]]


class Rule(NamedTuple):
    """One heuristic: a row fails whose signal is beyond the limit that a setting gives.

    Attributes
    ----------
    setting : str
        The setting of the method that holds the limit; True is a limit of none.
    signal : str
        The number that is held against it. A row without one, NaN, fails.
    least : bool
        The limit is the least that passes; otherwise the most.
    reason : str
        What is said of a row that fails, with `{figure}` and `{limit}`.
    """

    setting: str
    signal: str
    least: bool
    reason: str

    def fails(self, signals: Signals, limit: float) -> npt.NDArray[np.bool_]:
        """Return which rows fail."""
        figures = signals[self.signal]
        return ~(figures >= limit if self.least else figures <= limit)

    def says(self, figure: float, limit: float) -> str:
        """Return what is said of a row that fails."""
        if np.isnan(figure):
            return f"no {self.signal}"
        return self.reason.format(figure=figure, limit=limit)


@dataclass(kw_only=True, repr=False)
class RuleScorer(Scorer):
    """Score a row by the share of the rules in use that it passes.

    A rule whose setting is None or False is not in use. The first rule in the order of
    `rules` that a row fails is the row's reason.

    Attributes
    ----------
    rules : tuple of Rule
    """

    rules: ClassVar[tuple[Rule, ...]]

    def score_of(self, signals: Signals) -> npt.NDArray[np.float64]:
        """Return the share of the rules in use that each row passes."""
        failed = [rule.fails(signals, limit) for rule, limit in self._in_use()]
        return np.asarray(1 - np.mean(failed, axis=0)) if failed else np.ones(_rows(signals))

    def _in_use(self) -> list[tuple[Rule, float]]:
        """Return the rules that are in use, each with its limit."""
        limits = [(rule, getattr(self, rule.setting)) for rule in self.rules]
        return [
            (rule, 0 if limit is True else limit)
            for rule, limit in limits
            if limit is not None and limit is not False
        ]

    def _failed(self, signals: Signals) -> npt.NDArray[np.object_]:
        """Return the first rule that each row fails, by its setting; '' where it passes all."""
        failed = one_reason(_rows(signals), "")
        for rule, limit in reversed(self._in_use()):
            failed[rule.fails(signals, limit)] = rule.setting
        return failed

    def _said(self, signals: Signals, failed: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
        """Return what is said of each row for the rule that it fails; '' where it fails none.

        Rows of one figure share a text: of a hundred bytes each, they would be most of the memory.
        """
        said = one_reason(len(failed), "")
        for rule, limit in self._in_use():
            rows = np.flatnonzero(failed == rule.setting)
            figures, which = np.unique(signals[rule.signal][rows], return_inverse=True)
            texts = [rule.says(figure, limit) for figure in figures]
            said[rows] = np.array(texts, object)[which]
        return said


def _rows(signals: Signals) -> int:
    return len(next(iter(signals.values())))
