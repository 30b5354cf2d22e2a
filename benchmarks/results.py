"""What a benchmark finds out beside a peer, and the page that shows all of it.

A benchmark with peers has `rows()`, which yields a `Row` as soon as it is measured. Rows are
kept in `.benchmarks/results.json` by the benchmark's name, so that one can be measured again
without the others; `docs/benchmarks.md` and its plot are written from all that is kept.
"""

import json
import os
import platform
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

import tamis
from benchmarks.common import CACHE, HERE, spread

RESULTS = CACHE / "results.json"
PAGE = HERE.parent / "docs" / "benchmarks.md"
PLOT = Path("images") / "benchmarks.png"
ELSEWHERE = "\n## On another machine"  # from here on the page is written by hand, and stays
LESS_IS_BETTER = {"s", "GB"}

_BUSY = """
Others were at work on the machine (load up to {load:.0f} on {cores} cores). Spreads are wide, and
what goes by the clock, rather than by the processor's seconds, is slower on both sides than on a
quiet machine."""

HEAD = ["what", "size", "tamis", "peer", "times as good", "wanted", "beside"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """tamis beside one peer at one task.

    Attributes
    ----------
    what, size, peer : str
    unit : str
        Of the figures. Of seconds and gigabytes less is better, of all else more.
    tamis, theirs : list of float
        A figure a round, taken in turns. `theirs` is empty where the peer did not run.
    wanted : float, optional
        How many times better tamis is meant to be, at least; below 1 it may be worse.
    least : float, optional
        What tamis' own figure is meant to be, at least.
    note : str
        What else the two are compared by.
    error : str
        Why the peer did not run.
    """

    what: str
    size: str
    peer: str
    unit: str
    tamis: list[float]
    theirs: list[float] = field(default_factory=list)
    wanted: float | None = None
    least: float | None = None
    note: str = ""
    error: str = ""

    @property
    def ratios(self) -> list[float]:
        """How many times better tamis did, round by round; empty where the peer did not run.

        >>> Row(what="", size="", peer="", unit="s", tamis=[1, 2], theirs=[4, 6]).ratios
        [4.0, 3.0]
        """
        if not self.theirs:
            return []
        pairs = zip(self.tamis, self.theirs, strict=True)
        if self.unit in LESS_IS_BETTER:
            return [theirs / ours for ours, theirs in pairs]
        return [ours / theirs for ours, theirs in pairs]

    @property
    def met(self) -> bool | None:
        """Whether tamis does as is wanted of it, by medians; None where nothing is, or no peer."""
        if self.wanted is None and self.least is None:
            return None
        enough = self.least is None or statistics.median(self.tamis) >= self.least
        if self.wanted is None or not enough:
            return enough
        return statistics.median(self.ratios) >= self.wanted if self.ratios else None

    def cells(self) -> list[str]:
        """Return the row as the page shows it."""
        return [
            self.what,
            self.size,
            f"{spread(self.tamis)} {self.unit}",
            f"{self.peer}: " + (f"{spread(self.theirs)} {self.unit}" if self.theirs else "—"),
            spread(self.ratios) if self.ratios else "does not run",
            self._aim(),
            "; ".join(part for part in (self.note, self.error and f"`{self.error}`") if part),
        ]

    def _aim(self) -> str:
        aims = []
        if self.wanted is not None:
            tight = self.wanted < 1
            aims.append(f"within {1 / self.wanted:.3g}" if tight else f"{self.wanted:g}")
        if self.least is not None:
            aims.append(f"{self.least:g} {self.unit}")
        return " and ".join(aims) + {None: "", True: ": met", False: ": **missed**"}[self.met]


def shown(row: Row) -> str:
    """Return a row as lines for a screen."""
    cells = dict(zip(HEAD, row.cells(), strict=True))
    what, size = cells.pop("what"), cells.pop("size")
    rest = [f"    {name}: {cell}" for name, cell in cells.items() if cell]
    return "\n".join([f"{what}, {size}", *rest])


def keep(name: str, rows: Iterable[Row], minutes: float) -> None:
    """Put what a benchmark found in the place of what it found before."""
    kept = _kept()
    kept[name] = {
        "date": str(date.today()),
        "tamis": tamis.__version__,
        "machine": machine(),
        "load": os.getloadavg()[0],
        "minutes": minutes,
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.parent.mkdir(exist_ok=True)
    aside = RESULTS.with_suffix(".part")
    aside.write_text(json.dumps(kept, indent=1))
    aside.replace(RESULTS)


def write_page(order: Sequence[str], page: Path = PAGE) -> None:
    """Write the page and its plot from what is kept, benchmarks in the given order."""
    kept = _kept()
    there = [name for name in order if name in kept]
    rows = {name: [Row(**row) for row in kept[name]["rows"]] for name in there}
    lines = [*_opening([kept[name] for name in there]), _table([HEAD]), _table([["---"] * 7])]
    lines += [_table(row.cells() for row in rows[name]) for name in there]
    lines += ["", "## How each is measured", ""]
    lines += [_told(name, kept[name]) for name in there]
    if page.exists() and (by_hand := page.read_text(encoding="utf-8").partition(ELSEWHERE))[1]:
        lines += ["".join(by_hand[1:]).rstrip()]
    page.parent.joinpath(PLOT.parent).mkdir(exist_ok=True, parents=True)
    _plot([row for name in there for row in rows[name] if row.ratios], page.parent / PLOT)
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


def machine() -> str:
    """Return what the figures were measured on."""
    name = platform.processor() or platform.machine()
    known = Path("/proc/cpuinfo")
    if known.exists():
        said = dict(re.findall(r"^(.+?)\s*: (.+)$", known.read_text(), re.M))
        name = said.get("model name", name)
        if "cpu family" in said:  # hosts give one name to several generations
            name += f" (family {said['cpu family']}, model {said['model']})"
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{os.cpu_count()} cores of {name}, {gigabytes:.0f} GB of memory, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _kept() -> dict[str, dict]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def _opening(kept: Sequence[dict]) -> list[str]:
    days = sorted({one["date"] for one in kept})
    machines = sorted({one["machine"] for one in kept})
    versions = sorted({one["tamis"] for one in kept})
    minutes = sum(one["minutes"] for one in kept)
    load = max(one["load"] for one in kept)
    busy = load > 1.5 * (os.cpu_count() or 1)
    return [
        "# Beside the peers",
        "",
        "`make bench` measures all of this again and writes this page; "
        "`python -m benchmarks NAME …` measures some",
        "of it. Each peer runs in an environment of its own, on the same data and in the same run "
        "as tamis, in turns.",
        "Figures are medians, with the least and the most of the rounds; a ratio is taken round "
        "by round, and above 1 it",
        "is for tamis. *Wanted* is what was set as the aim before it was measured. A peer that "
        "does not run is listed with",
        "the line that it ends in.",
        "",
        f"Measured {days[0] if len(days) == 1 else f'{days[0]} to {days[-1]}'} on "
        f"{' and '.join(machines)}, with tamis {' and '.join(versions)}; "
        f"{minutes:.0f} minutes in all.",
        *(_BUSY.format(load=load, cores=os.cpu_count()).splitlines() if busy else ()),
        "",
        f"![How many times better tamis does than each peer]({PLOT.as_posix()})",
        "",
    ]


def _told(name: str, kept: dict) -> str:
    doc = (HERE / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]
    paragraphs = [part for part in doc.split("\n\n") if not part.startswith("    ")]
    told = " ".join(" ".join(paragraphs[1:]).split())
    return f"- **`{name}`** ({kept['minutes']:.1f} min): {paragraphs[0].strip()} {told}"


def _table(rows: Iterable[Sequence[str]]) -> str:
    r"""Return lines of a Markdown table.

    >>> _table([["a|b", "c"]])
    '| a\\|b | c |'
    """
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows
    )


def _plot(rows: Sequence[Row], path: Path) -> None:
    """Draw each ratio as a dot with its spread, and what was wanted as a bar."""
    figure = Figure(figsize=(9, 0.9 + 0.32 * len(rows)), layout="constrained")
    axes: Axes = figure.subplots()
    for place, row in enumerate(rows):
        colour = "#b3402a" if row.met is False else "#2a6f97"
        middle = statistics.median(row.ratios)
        axes.plot([min(row.ratios), max(row.ratios)], [place, place], color=colour, linewidth=3)
        axes.plot(middle, place, "o", color=colour)
        axes.annotate(f"{middle:.3g}", (max(row.ratios), place), (6, -3),
                      textcoords="offset points", fontsize=8)  # fmt: skip
        if row.wanted is not None:
            axes.plot(row.wanted, place, "|", color="black", markersize=13)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(right=4 * max(max(row.ratios) for row in rows))
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda ratio, _: f"{ratio:g}")
    axes.set_xlabel("times better than the peer (line: spread; bar: what was wanted)", fontsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _label(row: Row) -> str:
    label = f"{row.what}; {row.peer}"
    return label if len(label) <= 70 else f"{label[:69]}…"
