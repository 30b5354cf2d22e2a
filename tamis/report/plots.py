"""Plots as inline SVG that takes its colours and its type from the page.

Matplotlib draws; what comes out is stripped of ids, inline styles and metadata, so that the
page's Content-Security-Policy can forbid inline styles and its style sheet (light, dark, print)
decides how a plot looks. No text of a pool ever enters a plot; the names of
methods do, escaped.
"""

import io
import math
import xml.etree.ElementTree as ET

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from tamis.pipelines.curves import LINES
from tamis.pipelines.curves import curves as drawn_curves
from tamis.pipelines.results import Comparison
from tamis.report.figures import Shape

__all__ = ["curves", "spread"]

_SVG = "http://www.w3.org/2000/svg"
_KEPT_ATTRIBUTES = {"d", "x", "y", "transform", "viewBox"}
_CLASSES = {"kept", "dropped", "kept-line", "dropped-line", "grid"}
_CLASSES |= {f"line-{number}" for number in range(LINES)}


def spread(shape: Shape, *, label: str, logarithmic: bool = False) -> Markup:
    """Draw the kept and the dropped rows' shares over the bins of `shape`, as an SVG element.

    Parameters
    ----------
    shape : Shape
    label : str
        What the plot shows, for those who cannot see it.
    logarithmic : bool
        The bins are decimal logarithms.
    """
    figure = Figure(figsize=(4.3, 1.9))
    axes = figure.add_axes((0.105, 0.15, 0.845, 0.8))
    for name in ("dropped", "kept"):
        shares = getattr(shape, name).shares
        axes.stairs(shares, shape.edges, fill=True, gid=name)
        axes.stairs(shares, shape.edges, gid=f"{name}-line")
    _set_axes(axes, shape, logarithmic=logarithmic)
    return _themed(_svg(figure), label)


def curves(comparison: Comparison, *, label: str) -> Markup:
    """Draw what a comparison found, as an SVG element."""
    return _themed(_svg(drawn_curves(comparison)), label)


def _svg(figure: Figure) -> str:
    with rc_context({"svg.fonttype": "none"}):
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def spark(values: npt.NDArray[np.float64], top: float) -> Markup:
    """Draw numbers from 0 to `top` as a line without axes, as an SVG element; NaN is left out.

    >>> str(spark(np.array([0.0, 0.5, 1.0]), top=1.0))[-48:]
    '><path d="M0.0 24.0L50.0 12.0L100.0 0.0"/></svg>'
    """
    at = np.flatnonzero(np.isfinite(values))
    x = 100 * at / max(1, len(values) - 1)
    y = 24 - 24 * values[at] / (top or 1)
    path = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    return Markup(
        '<svg class="spark" aria-hidden="true" viewBox="0 -1 100 26" preserveAspectRatio="none">'
        '<path d="M{}"/></svg>'
    ).format(path)


def _set_axes(axes: Axes, shape: Shape, *, logarithmic: bool) -> None:
    axes.spines[:].set_visible(False)
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=5, labelsize=9)
    axes.set_xlim(shape.edges[0], shape.edges[-1])
    axes.set_ylim(bottom=0, top=1.05 * max(shape.kept.shares.max(), shape.dropped.shares.max()))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:g}%")
    axes.grid(axis="y", gid="grid")
    if logarithmic:
        axes.xaxis.set_major_locator(FixedLocator(_powers(*axes.get_xlim())))
        axes.xaxis.set_major_formatter(lambda exponent, _: f"{10**exponent:,.0f}")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6))


def _powers(low: float, high: float) -> list[float]:
    """Return logarithms of round numbers: 1, 10, 100, …, and 3, 30, … where there is room.

    >>> [round(10**power) for power in _powers(1.4, 3.5)]
    [30, 100, 300, 1000, 3000]
    >>> [round(10**power) for power in _powers(0.2, 5.1)]
    [10, 100, 1000, 10000, 100000]
    """
    between = [0.0, math.log10(3)] if high - low < 2.5 else [0.0]
    decades = range(math.floor(low), math.floor(high) + 1)
    powers = [decade + part for decade in decades for part in between]
    return [power for power in powers if low <= power <= high]


def _themed(drawn: str, label: str) -> Markup:
    """Keep the shapes of an SVG, with classes in the place of ids and styles."""
    root = ET.fromstring(drawn)
    parts = [_element(child) for child in root if not child.tag.endswith(("metadata", "defs"))]
    return Markup('<svg class="plot" role="img" aria-label="{}" viewBox="{}">{}</svg>').format(
        label, root.attrib["viewBox"], Markup("").join(parts)
    )


def _element(element: ET.Element) -> Markup:
    tag = element.tag.removeprefix(f"{{{_SVG}}}")
    attributes = {name: element.attrib[name] for name in _KEPT_ATTRIBUTES & set(element.attrib)}
    if element.get("id") in _CLASSES:
        attributes["class"] = element.attrib["id"]
    if "text-anchor: " in element.get("style", ""):
        attributes["text-anchor"] = element.attrib["style"].split("text-anchor: ")[1].split(";")[0]
    inner = Markup("").join(_element(child) for child in element if not child.tag.endswith("defs"))
    text = escape((element.text or "").strip()) + inner
    if tag in {"g", "path", "text"} and not attributes and not text:
        return Markup("")
    written = Markup("").join(
        Markup(' {}="{}"').format(name, " ".join(attributes[name].split()))
        for name in sorted(attributes)
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), written, text)
