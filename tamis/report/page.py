"""The page itself: a template, a style sheet and a script, all inside one file."""

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from itertools import count
from pathlib import Path

import numpy as np
from datasets import Dataset
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tamis.data.files import written_aside
from tamis.kernels.threads import spread
from tamis.report import plots
from tamis.report.comparison import comparison_view
from tamis.report.examples import Example, best_kept, kept_table, near_misses, worst_kept
from tamis.report.figures import (
    Count,
    RowFacts,
    Shape,
    Trace,
    length_shape,
    reason_counts,
    row_facts,
    score_shape,
    source_mix,
    traces,
)
from tamis.report.view import RunView, StepView
from tamis.report.wording import Cut, duration, number, share, shown, without_secrets
from tamis.selectors.selection import Selection

__all__ = ["assets", "environment", "write_report"]

BEST_ROWS = 5
REASON_KINDS = 8
SOURCES = 12
REJECTED_ROWS = 100
TRACES = 40
_MISSES_A_STEP = 3
_MISSES = 48


@dataclass(frozen=True)
class _Plot:
    shape: Shape
    svg: Markup


@dataclass(frozen=True)
class _Figures:
    """What is counted and looked up for one step, before anything is drawn."""

    reasons: list[Count]
    scores: Shape | None
    lengths: Shape | None
    misses: list[Example]


@dataclass(frozen=True)
class _Section:
    """One step, as the template shows it."""

    number: int
    method: str
    step: StepView
    given: int
    kept: int
    reasons: list[Count]
    scores: _Plot | None
    lengths: _Plot | None
    misses: list[Example]
    traces: list[tuple[Trace, Markup]]


def write_report(view: RunView, path: str | Path) -> Path:
    """Write the page of a run; return its path.

    The page needs nothing but itself, and stays under 5 MB whatever the pool: texts and
    tables are cut, and say so. The pool is read once, in batches.

    Raises
    ------
    DataError
        If `path` cannot be written.
    """
    page = _page(view)
    with written_aside(Path(path)) as aside:
        aside.write_text(page, encoding="utf-8")
    return Path(path)


def _page(view: RunView) -> str:
    facts = row_facts(view.pool)
    best = best_kept(view, BEST_ROWS)
    figures = spread(partial(_figures, view, facts), range(len(view.steps)), most=2)
    template = environment().get_template("page.html")
    return template.render(
        run=view,
        sections=[*map(_section, count(1), view.steps, figures)],
        best=best,
        worst=worst_kept(view, BEST_ROWS),
        table=kept_table(view),
        mix=source_mix(view, facts, SOURCES),
        comparison=view.comparison and comparison_view(view.comparison),
        rejected=_rejected(view.rejected),
        units=sorted({unit for step in view.steps for unit in step.costs}),
        commands=_next_commands(view.run_id, best),
        **assets("page.css", "page.js"),
    )


def _traces(selection: Selection) -> list[tuple[Trace, Markup]]:
    found = traces(selection, TRACES)
    top = max((float(np.nanmax(trace.values)) for trace in found), default=0.0)
    return [(trace, plots.spark(trace.values, top)) for trace in found]


def _figures(view: RunView, facts: RowFacts, number: int) -> _Figures:
    selection = view.steps[number].selection
    return _Figures(
        reasons=reason_counts(selection, REASON_KINDS),
        scores=score_shape(selection),
        lengths=length_shape(facts.lengths[view.inputs[number]], selection.kept),
        misses=near_misses(view, number, max(1, min(_MISSES_A_STEP, _MISSES // len(view.steps)))),
    )


def _section(number: int, step: StepView, figures: _Figures) -> _Section:
    selection = step.selection
    method = selection.method or "step"
    return _Section(
        number=number,
        method=method,
        step=step,
        given=len(selection.scores),
        kept=len(selection),
        reasons=figures.reasons,
        scores=_plot(figures.scores, f"{method}: score"),
        lengths=_plot(figures.lengths, f"{method}: length in characters", logarithmic=True),
        misses=figures.misses,
        traces=_traces(selection),
    )


def _plot(shape: Shape | None, what: str, *, logarithmic: bool = False) -> _Plot | None:
    if shape is None:
        return None
    label = f"{what}, spread over kept and dropped rows; the medians are below"
    return _Plot(shape, plots.spread(shape, label=label, logarithmic=logarithmic))


def _next_commands(run_id: str, best: list[Example]) -> list[tuple[str, str]]:
    """Return what to try next, and how to type it."""
    dropped = (
        "SELECT step, reason, count(*) AS n FROM selections "
        f"WHERE run_id = '{run_id}' AND NOT kept GROUP BY ALL ORDER BY n DESC LIMIT 10"
    )
    row = best[0].id if best else "EXAMPLE_ID"
    return [
        ("Why a row is in or out", f"tamis explain {run_id} {row}"),
        ("Which reasons dropped the most rows", f'tamis sql "{dropped}"'),
        ("Take the kept rows away", f"tamis export {run_id} --to out --format parquet"),
    ]


def _rejected(rows: Dataset) -> list[dict[str, Cut]]:
    """Return the first rejected rows, cut to a length."""
    columns = ("file", "line", "reason")
    first = rows.select_columns(columns).select(range(min(len(rows), REJECTED_ROWS)))
    return [
        {name: shown("" if row[name] is None else str(row[name]), 300) for name in columns}
        for row in first
    ]


def assets(style: str, script: str | None = None) -> dict[str, str | Markup]:
    """Return style, script and the policy that allows just them, as a template takes them."""
    rules = _asset(style)
    code = Markup("") if script is None else _asset(script)
    return {"style": rules, "script": code, "policy": _policy(rules, code)}


def _policy(style: Markup, script: Markup) -> str:
    """Return a Content-Security-Policy under which nothing but our own style and script runs."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _asset(name: str) -> Markup:
    return Markup(files("tamis.report").joinpath("templates", name).read_text(encoding="utf-8"))


@cache
def environment() -> Environment:
    """Return what renders the templates: everything escaped, nothing undefined."""
    pages = Environment(
        loader=PackageLoader("tamis.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "count": "{:,}".format,
        "cut": shown,
        "duration": duration,
        "number": number,
        "share": share,
        "without_secrets": without_secrets,
    }
    return pages
