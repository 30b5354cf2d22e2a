"""Comparisons on disk: `comparisons/<id>/`, where the catalogue's views and the report look.

`comparison.json` has the facts and notes; `results`, `trials`, `picks` and `overlap` are
Parquet files. A comparison that a recipe asked for has the id of its run.
"""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tamis.data.files import home, written_aside
from tamis.errors import RunError
from tamis.pipelines.results import Comparison, Failure, Result

__all__ = ["find", "folder", "of_run", "write"]

_TABLES = ("overlap", "picks", "trials")


def folder(comparison_id: str) -> Path:
    """Return where a comparison lies."""
    return home() / "comparisons" / comparison_id


def write(comparison: Comparison) -> Path:
    """Write a comparison into its folder; return it."""
    place = folder(comparison.id)
    tables = {name: getattr(comparison, name) for name in _TABLES}
    for name, table in {"results": comparison.to_arrow(), **tables}.items():
        with written_aside(place / f"{name}.parquet") as aside:
            pq.write_table(_with_id(table, comparison.id), aside, compression="zstd")
    facts = {
        "id": comparison.id,
        "untrained": comparison.untrained,
        "failures": [asdict(failure) for failure in comparison.failures],
        "notes": comparison.notes,
        "facts": comparison.facts,
    }
    with written_aside(place / "comparison.json") as aside:
        aside.write_text(json.dumps(facts, indent=2, ensure_ascii=False), encoding="utf-8")
    return place


def find(comparison_id: str) -> Comparison:
    """Return the comparison with this id.

    Raises
    ------
    RunError
        If there is none.
    """
    path = folder(comparison_id) / "comparison.json"
    if not path.exists():
        raise RunError(f"comparison {comparison_id}: not in {home()}; tamis compare makes one")
    said = json.loads(path.read_text(encoding="utf-8"))
    tables = {name: _table(path.with_name(f"{name}.parquet")) for name in _TABLES}
    results = [Result(**row) for row in _table(path.with_name("results.parquet")).to_pylist()]
    failures = [Failure(**failure) for failure in said.pop("failures")]
    return Comparison(**said, **tables, results=results, failures=failures)


def of_run(run_id: str) -> Comparison | None:
    """Return the comparison that a run made, if its recipe asked for one."""
    return find(run_id) if (folder(run_id) / "comparison.json").exists() else None


def _table(path: Path) -> pa.Table:
    return pq.read_table(path).drop_columns(["comparison"])


def _with_id(table: pa.Table, comparison_id: str) -> pa.Table:
    return table.add_column(0, "comparison", pa.array([comparison_id] * len(table), pa.string()))
