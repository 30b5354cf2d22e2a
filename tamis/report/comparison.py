"""A comparison as a report shows it: verdicts, a curve, costs, and which picks agree."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from tamis.pipelines.results import Comparison, Result
from tamis.pipelines.trials import Amount
from tamis.report import plots

__all__ = ["Agreement", "ComparisonView", "comparison_view"]


@dataclass(frozen=True)
class Agreement:
    """How far the picks at one budget agree.

    Attributes
    ----------
    amount : str
    methods : list of str
    shares : dict of (method, method) to float
        Share of the smaller pick that both have.
    by_chance : float
    """

    amount: str
    methods: list[str]
    shares: dict[tuple[str, str], float]
    by_chance: float


@dataclass(frozen=True)
class ComparisonView:
    """What the template shows."""

    comparison: Comparison
    plot: Markup
    agreements: list[Agreement]

    @property
    def headline(self) -> list[Result]:
        """The verdicts at the largest budget."""
        judged = [result for result in self.comparison.results if result.gain is not None]
        return [result for result in judged if result.budget == judged[-1].budget] or judged


def comparison_view(comparison: Comparison) -> ComparisonView:
    """Return what a page shows of a comparison."""
    label = "Loss on held-out examples by method and budget; the figures are in the table"
    return ComparisonView(
        comparison, plots.curves(comparison, label=label), list(_agreements(comparison))
    )


def _agreements(comparison: Comparison) -> Iterator[Agreement]:
    rows = comparison.overlap.to_pylist()
    for budget, unit in dict.fromkeys((row["budget"], row["unit"]) for row in rows):
        here = [row for row in rows if (row["budget"], row["unit"]) == (budget, unit)]
        shares = {(row["method"], row["other"]): row["share"] for row in here}
        shares |= {(other, method): share for (method, other), share in shares.items()}
        yield Agreement(
            str(Amount(budget, unit)),
            list(dict.fromkeys(name for row in here for name in (row["method"], row["other"]))),
            shares,
            sum(row["by_chance"] for row in here) / len(here),
        )
