"""A comparison as a figure: losses against budgets, or gains with their intervals at one budget."""

from collections import defaultdict

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from tamis.pipelines.compare import BASELINE
from tamis.pipelines.results import Comparison, Result
from tamis.pipelines.trials import WHOLE

__all__ = ["LINES", "curves"]

LINES = 10
"""Methods that have a line of their own look; more begin again with the first."""


def curves(comparison: Comparison) -> Figure:
    """Draw the loss of each method against the budget; of one budget alone, the gains.

    Parts have the ids `line-0`, `line-1`, …, in the order of the methods, and `grid`, so that
    a page can dress them.
    """
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[:].set_visible(False)
    axes.patch.set_visible(False)
    axes.tick_params(length=0, labelsize=9)
    budgets = {result.budget for result in comparison.results if result.method != WHOLE}
    if len(budgets) > 1:
        _losses(axes, comparison)
    else:
        _gains(axes, comparison)
    return figure


def _losses(axes: Axes, comparison: Comparison) -> None:
    lines: dict[str, list[Result]] = defaultdict(list)
    for result in comparison.results:
        if result.method != WHOLE:
            lines[result.method].append(result)
    for number, (method, results) in enumerate(lines.items()):
        x, y = ([getattr(result, name) for result in results] for name in ("budget", "loss"))
        half = np.nan_to_num([result.half_width or 0.0 for result in results])
        line = axes.errorbar(x, y, yerr=half, linewidth=1.6)
        for part in (line.lines[0], *line.lines[2]):
            part.set_gid(f"line-{number % LINES}")
        axes.annotate(method, (x[-1], y[-1]), (6, 0), textcoords="offset points", va="center")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted({r.budget for r in comparison.results})))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    axes.margins(x=0.12)
    axes.set_xlabel(comparison.results[0].unit)
    axes.set_ylabel("nats a token")
    axes.grid(axis="y", alpha=0.3, gid="grid")


def _gains(axes: Axes, comparison: Comparison) -> None:
    shown = [result for result in comparison.results if result.gain is not None][::-1]
    axes.axvline(0, color="0.5", linewidth=1, gid="grid")
    for place, result in enumerate(shown):
        half = np.nan_to_num(result.half_width or 0.0)
        middle = result.gain or 0.0
        reach = axes.plot([middle - half, middle + half], [place, place], linewidth=1.6)
        point = axes.plot([middle, middle], [place - 0.12, place + 0.12], linewidth=3)
        for part in (*reach, *point):
            part.set_gid(f"line-{(len(shown) - place) % LINES}")
            part.set_color(f"C{(len(shown) - place) % LINES}")
    axes.set_yticks(range(len(shown)), [result.method for result in shown])
    axes.margins(y=0.15)
    axes.set_xlabel(f"nats a token better than {BASELINE} (to the right)")
