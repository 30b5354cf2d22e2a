"""The pages: each a function of a request that reads the files and fills a template."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from jinja2 import ChoiceLoader, Environment, PackageLoader
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tamis.errors import RunError, SettingError, TamisError
from tamis.pipelines.diff import diff
from tamis.pipelines.explain import explain
from tamis.pipelines.runs import Run, find, runs
from tamis.report.figures import Count, reason_counts, reason_kinds
from tamis.report.page import environment
from tamis.report.wording import Cut, shown
from tamis.ui import map as maps
from tamis.ui.rows import row_of, row_page, rows_of

if TYPE_CHECKING:
    from tamis.selectors.selection import Selection

__all__ = ["PAGES", "trouble"]

_RUNS = 200
_REASONS = 8
_CHANGES = 50
_WHOLE_TEXT = 50_000


def runs_page(request: Request) -> Response:
    """List what ran, newest first."""
    known = runs()
    return _shown("runs.html", runs=known[:_RUNS], total=len(known))


def run_page(request: Request) -> Response:
    """Show what each step of a run kept, and why it dropped the rest."""
    run = _run(request)
    selections: list[Selection | None] = [*run.step_selections]
    selections += [None] * (len(run.outcomes) - len(selections))  # tidied away, or not made yet
    steps = [
        (outcome, _reasons(selection))
        for outcome, selection in zip(run.outcomes, selections, strict=False)
    ]
    return _shown("run.html", run=run, steps=steps, has_report=run.report.exists())


def rows_page(request: Request) -> Response:
    """Show rows of a run, those that a condition is true of."""
    run = _run(request)
    step, page = _whole(request, "step"), _whole(request, "page") or 1
    where = request.query_params.get("where", "")
    wrong, found = None, None
    try:
        found = row_page(run, step=step, where=where, page=page)
    except TamisError as error:
        wrong = shown(str(error), 500)
    facts = {"step": step, "page": page, "where": where, "wrong": wrong, "found": found}
    return _shown("rows.html", 400 if wrong else 200, run=run, **facts)


def row(request: Request) -> Response:
    """Show one row whole, and what every step said of it."""
    run = _run(request)
    told = explain(run, request.path_params["example"])
    facts = {name: getattr(told, name) for name in ("example_id", "prompt", "response", "text")}
    verdicts = [
        row_of({**facts, **vars(verdict), "source": told.source}, _WHOLE_TEXT)
        for verdict in told.verdicts
    ]
    return _shown("row.html", run=run, told=told, verdicts=verdicts)


def map_page(request: Request) -> Response:
    """Draw the pool of a run."""
    run = _run(request)
    drawn = maps.pool_map(run)
    return _shown("map.html", run=run, map=drawn, width=maps.WIDTH, height=maps.HEIGHT)


def report(request: Request) -> Response:
    """Give the run's report as it lies in its folder, under its own, stricter policy."""
    run = _run(request)
    if not run.report.exists():
        raise RunError(f"run {run.id}: no report; tamis report {run.id} writes it")
    policy = {"Content-Security-Policy": "frame-ancestors 'none'"}
    return HTMLResponse(run.report.read_bytes(), headers=policy)


def compare_page(request: Request) -> Response:
    """Show which rows came in between two runs, which left, and why."""
    done = [run for run in runs() if run.status == "done"]
    asked = [request.query_params.get(side, "") for side in ("before", "after")]
    found = diff(find(asked[0]), find(asked[1])) if all(asked) else None
    likely = [run.id for run in (*done[1:2], *done[:1])]  # the last two, in their order
    picked = [found.before, found.after] if found else likely
    chosen = dict(zip(("before", "after"), picked, strict=False))
    sides = []
    if found:
        sides = [_side("Came in", "before", found.came), _side("Left", "now", found.left)]
    return _shown("compare.html", done=done[:_RUNS], chosen=chosen, found=found, sides=sides)


def trouble(request: Request, error: Exception) -> Response:
    """Say in one line what is wrong, and no more of it than its reader may know."""
    status, said = 500, "a defect in tamis; its terminal says where"
    if isinstance(error, HTTPException):
        status, said = error.status_code, error.detail
    elif isinstance(error, TamisError):
        status, said = 404 if isinstance(error, RunError | SettingError) else 400, str(error)
    return _shown("trouble.html", status, code=status, said=shown(said, 1_000))


PAGES: dict[str, Callable[[Request], Response]] = {
    "/": runs_page,
    "/compare": compare_page,
    "/runs/{run}": run_page,
    "/runs/{run}/map": map_page,
    "/runs/{run}/report": report,
    "/runs/{run}/rows": rows_page,
    "/runs/{run}/rows/{example}": row,
}


def _run(request: Request) -> Run:
    return find(request.path_params["run"])


def _whole(request: Request, name: str) -> int | None:
    """Return a whole number of the address, from 1; None where there is none."""
    said = request.query_params.get(name, "")
    if not said:
        return None
    if not (said.isascii() and said.isdigit() and 1 <= int(said[:10]) <= 10**6):
        raise SettingError(f"{name}={said[:20]}: give a whole number from 1")
    return int(said)


def _reasons(selection: "Selection | None") -> list[tuple[Count, Cut, str]]:
    """Return reasons of a step with their counts, and conditions that find their rows."""
    if selection is None:
        return []
    return [
        (kind, shown(kind.name, 120), _condition(kind.name))
        for kind in reason_counts(selection, _REASONS)
    ]


def _condition(kind: str) -> str:
    """Return SQL that is true of the rows of a kind of reason; '' for the sum of the rest.

    >>> _condition("near-duplicate of … (it's)")
    "NOT kept AND reason LIKE 'near-duplicate of % (it''s)'"
    """
    if kind.endswith("other kinds of reason"):
        return ""
    pattern = kind.replace("'", "''").replace("…", "%")
    return f"NOT kept AND reason LIKE '{pattern}'"


def _side(title: str, when: str, rows: pa.Table) -> dict[str, Any]:
    kinds = [(kind, shown(kind.name, 200)) for kind in reason_kinds(rows["reason"], _REASONS)]
    shown_rows = rows_of(rows, _CHANGES)
    return {"title": title, "when": when, "total": len(rows), "kinds": kinds, "rows": shown_rows}


def _shown(template: str, status: int = 200, **facts: object) -> Response:
    return HTMLResponse(_templates().get_template(template).render(**facts), status)


@cache
def _templates() -> Environment:
    """Return the report's environment (all escaped, nothing undefined) with our templates."""
    ours = [PackageLoader("tamis.ui", "templates"), environment().loader]
    return environment().overlay(loader=ChoiceLoader([part for part in ours if part]))
