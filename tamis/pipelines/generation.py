"""A run's pool that is made before it is chosen from."""

import json
from pathlib import Path
from typing import Any

from tamis.data.files import written_aside
from tamis.data.load import load
from tamis.data.save import save
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.runs import Run
from tamis.prompting.generation.journal import account_of

__all__ = ["account", "generated"]


def generated(recipe: Recipe, run: Run, *, progress: bool = True) -> Path:
    """Make the pool of a run from what its recipe names; return the file it is in.

    The journal's folder gets the rows, `refused.parquet` and `requests.parquet` (what the
    filters refused, and every prompt and answer), the run's folder `generated.json`, the
    account. What was made before, by this run or another, is not made again.
    """
    found = recipe.generator()
    assert found is not None  # a recipe without one is not asked to
    generator, call = found
    source = load(
        recipe.pool or "", format=recipe.format, columns=recipe.columns, strict=recipe.strict,
        progress=progress,
    )  # fmt: skip
    rows = generator.generate(source, progress=progress, **call)
    journal = generator.journal(source)
    for name, table in (("refused", journal.refused), ("requests", journal.requests)):
        save(table, journal.folder / f"{name}.parquet")
    told = {**account_of(rows), "folder": str(journal.folder)}
    with written_aside(run.folder / "generated.json") as aside:
        aside.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    # The name of a file is part of what it is to a pool: not of the run, but of the rows.
    return save(rows, journal.folder / f"rows-{len(rows)}.parquet")


def account(run: Run) -> dict[str, Any] | None:
    """Return what a run's generator kept, refused and spent; None where it had none."""
    path = run.folder / "generated.json"
    if not path.exists():
        return None
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return told
