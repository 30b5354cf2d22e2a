"""Rows of a run with what was said of them: a page of those that a condition is true of."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tamis.data.questions import ask
from tamis.pipelines.runs import Run
from tamis.report.wording import Cut, number, shown

__all__ = ["PAGE_ROWS", "Row", "RowPage", "row_of", "row_page", "rows_of"]

PAGE_ROWS = 25
TEXT_CHARACTERS = 2_000

# Of rows with equal content, which share an id, the one that went furthest speaks.
_ROWS = """
    WITH last AS (
        SELECT DISTINCT ON (example_id) * EXCLUDE (run_id) FROM verdicts
        WHERE run_id = $run AND ($step IS NULL OR step = $step)
        ORDER BY example_id, step DESC, kept DESC
    ), said AS (
        SELECT DISTINCT ON (example_id) * EXCLUDE (run_id) FROM examples WHERE run_id = $run
        ORDER BY example_id, source
    )
    SELECT * FROM last LEFT JOIN said USING (example_id)"""
_BEST_FIRST = "step DESC, kept DESC, rank, score DESC NULLS LAST, example_id"


@dataclass(frozen=True)
class Row:
    """One row, ready to be shown: texts are cut, and say so.

    Attributes
    ----------
    id : str
    step : str
        The step that spoke last: '3 dsir'; '' where that is not told.
    rank : int, optional
        None for a row that the step dropped.
    facts : mapping of name to Cut
        Score and signals.
    texts : mapping of name to Cut
        'Prompt' and 'Response', or 'Text' where a row has neither.
    """

    id: str
    step: str
    rank: int | None
    reason: Cut
    source: Cut
    facts: dict[str, Cut]
    texts: dict[str, Cut]


@dataclass(frozen=True)
class RowPage:
    """Some rows of a run, and whether there are more after them."""

    rows: list[Row]
    more: bool


def row_page(run: Run, *, step: int | None = None, where: str = "", page: int = 1) -> RowPage:
    """Return rows of a run with the last word on each, the kept by rank, then the dropped.

    Parameters
    ----------
    run : Run
    step : int, optional
        Only the rows that this step looked at, with its word on them.
    where : str
        A condition on step, method, kept, rank, score, reason, signals, source, prompt,
        response, text and example_id, in DuckDB's SQL.
    page : int
        From 1.

    Raises
    ------
    CatalogError
        If the condition cannot be answered.
    """
    answer = ask(
        _ROWS,
        {"run": run.id, "step": step},
        where=where,
        order=_BEST_FIRST,
        most=PAGE_ROWS,
        skip=PAGE_ROWS * (page - 1),
    )
    return RowPage([row_of(row) for row in answer.rows], answer.more)


def rows_of(table: pa.Table, most: int) -> list[Row]:
    """Return the first rows of a table with the columns of `Diff.came`."""
    return [row_of(row) for row in table.slice(0, most).to_pylist()]


def row_of(row: dict[str, Any], characters: int = TEXT_CHARACTERS) -> Row:
    """Return a row as it is shown.

    Parameters
    ----------
    row : dictionary
        example_id, reason, prompt, response and text; where they are known step, method,
        kept, rank, score, signals and source.
    characters : int
        Texts are cut to that.
    """
    numbers = {"score": row.get("score"), **(row.get("signals") or {})}
    texts = {"Prompt": row["prompt"], "Response": row["response"]}
    return Row(
        id=row["example_id"],
        step=f"{row['step']} {row['method']}" if "step" in row else "",
        rank=row["rank"] if row.get("kept") else None,
        reason=shown(row["reason"], 300),
        source=shown(row.get("source") or "", 80),
        facts={name: _value(value) for name, value in numbers.items() if value is not None},
        texts={
            name: shown(text or "", characters)
            for name, text in (texts if any(texts.values()) else {"Text": row["text"]}).items()
        },
    )


def _value(value: object) -> Cut:
    if isinstance(value, bool) or not isinstance(value, float | int):
        return shown(str(value), 120)
    return Cut(number(value))
