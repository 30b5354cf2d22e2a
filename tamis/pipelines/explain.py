"""Why a row is in or out: what every step of a run said of one example."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from tamis.data.examples import whole
from tamis.data.files import home
from tamis.errors import SettingError
from tamis.pipelines.runs import Run

__all__ = ["Explanation", "Verdict", "explain"]


@dataclass(frozen=True)
class Verdict:
    """What one step said of the example."""

    step: int
    method: str
    kept: bool
    rank: int | None
    score: float
    reason: str
    signals: dict[str, Any]


@dataclass(frozen=True)
class Explanation:
    """An example of a run's pool, and what each step that saw it said."""

    run_id: str
    example_id: str
    kept: bool
    source: str
    prompt: str
    response: str
    text: str
    verdicts: tuple[Verdict, ...]


def explain(run: Run, example_id: str) -> Explanation:
    """Return what each step of `run` said of the example.

    Parameters
    ----------
    run : Run
    example_id : str
        Hexadecimal id, or enough of its start to be the only one.

    Raises
    ------
    SettingError
        If the id fits no example of the pool, or several.
    RunError
        If the run has not looked at its pool yet, or its pool or steps were tidied away.
    """
    run.check_whole()
    assert run.record.pool is not None
    examples = home() / "pools" / run.record.pool / "examples.parquet"
    row = _the_one(_starting_with(examples, example_id), example_id, run)
    verdicts = tuple(
        verdict
        for number, path in enumerate(sorted((run.folder / "steps").glob("*.parquet")), start=1)
        for verdict in _verdicts(path, number, row["example_id"])
    )
    return Explanation(
        run_id=run.id,
        example_id=row["example_id"],
        kept=bool(verdicts) and verdicts[-1].kept and len(verdicts) == len(run.recipe.steps),
        source=row["source"] or "",
        prompt=row["prompt"],
        response=row["response"],
        text=row["text"],
        verdicts=verdicts,
    )


def _starting_with(path: Path, start: str) -> pa.Table:
    if not start or not set(start) <= set("0123456789abcdef"):
        raise SettingError(
            f"example '{start}': an id is hexadecimal, such as 1a2b3c4d; "
            '`tamis sql "SELECT example_id FROM curated"` lists some'
        )
    fits = pc.starts_with(ds.field("example_id"), start)
    return whole(ds.dataset(path).to_table(filter=fits))


def _the_one(found: pa.Table, example_id: str, run: Run) -> dict[str, Any]:
    distinct = pc.count_distinct(found["example_id"]).as_py()
    if distinct != 1:
        what = "fits no example" if distinct == 0 else f"fits {distinct} examples; give more of it"
        raise SettingError(f"example '{example_id}': {what} in the pool of run {run.id}")
    return dict(found.slice(0, 1).to_pylist()[0])


def _verdicts(path: Path, number: int, example_id: str) -> list[Verdict]:
    table = ds.dataset(path).to_table(filter=ds.field("example_id") == example_id)
    method = json.loads(table.schema.metadata[b"tamis"])["method"]
    rows = sorted(table.to_pylist(), key=lambda row: not row["kept"])
    return [
        Verdict(
            step=number,
            method=method,
            kept=row["kept"],
            rank=row["rank"],
            score=row["score"],
            reason=row["reason"],
            signals=row["signals"] or {},
        )
        for row in rows[:1]  # copies of one example: the one that went furthest speaks
    ]
