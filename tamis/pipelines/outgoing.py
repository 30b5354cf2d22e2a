"""What of a run goes out, with where each row is from, and where it went.

Each row that goes out says its source and its licence beside its text. A licence is that of
the row's own column (`licence`, `license`), or the one that the recipe gives for its source;
where neither says, it is 'unknown'.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.data import formats, personal
from tamis.data.convert import convert
from tamis.data.files import written_aside
from tamis.errors import SettingError
from tamis.pipelines.runs import Run

__all__ = ["UNKNOWN", "Exported", "exports", "note_export", "prepared", "provenance"]

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Exported:
    """An export: what was written where, so that it can be found again.

    Attributes
    ----------
    where : str
        An absolute path, or hf://org/name.
    form : str
    rows : int
    left_out : int
        Rows whose licence was not among those allowed.
    when : str
    """

    where: str
    form: str
    rows: int
    left_out: int = 0
    when: str = ""


def prepared(
    run: Run, form: str, *, allow: Collection[str] | None = None, mask: bool | None = None
) -> tuple[Dataset, int]:
    """Return the rows that go out, best first, and how many their licence holds back.

    Columns tamis_source and tamis_licence stand beside those that `form` gives.
    """
    recipe, rows = run.recipe, run.dataset
    table = rows.with_format("arrow")[:]
    sources, licences = provenance(table, recipe.licences)
    beside = {"tamis_source": sources, "tamis_licence": licences}
    if sources.null_count == len(sources):
        del beside["tamis_source"]
    for name, column in beside.items():
        table = table.append_column(name, column)
    kept = Dataset(table)
    if allow is not None:
        allowed = pc.is_in(licences, pa.array(sorted(allow), pa.large_string()))
        kept = kept.select(np.flatnonzero(allowed))
        if not len(kept):
            there = ", ".join(sorted(set(licences.to_pylist())))
            raise SettingError(f"export: no row has one of the licences allowed; there are {there}")
    left_out = len(rows) - len(kept)
    if form != "parquet":
        kept = convert(kept, form)
    if recipe.mask if mask is None else mask:
        kept = personal.mask(kept)
    return kept, left_out


def provenance(
    table: pa.Table, known: dict[str, str]
) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Return source (null where there is none) and licence of each row."""
    text = pa.large_string()
    sources = formats.sources(table)
    if sources is None:
        sources = pa.nulls(table.num_rows, text)
    said = formats.licences(table)
    own = [""] * table.num_rows if said is None else said.to_pylist()
    licences = [
        licence.strip().lower() or known.get(source or "", UNKNOWN)
        for licence, source in zip(own, sources.to_pylist(), strict=True)
    ]
    return sources, pa.array(licences, text)


def exports(run: Run) -> list[Exported]:
    """Return what of a run was exported, and where to; the last to each place."""
    path = run.folder / "exports.json"
    if not path.exists():
        return []
    return [Exported(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def note_export(run: Run, done: Exported) -> Exported:
    """Record an export of a run, in place of an earlier one to the same place."""
    done = Exported(**{**asdict(done), "when": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"})
    known = [entry for entry in exports(run) if entry.where != done.where]
    with written_aside(run.folder / "exports.json") as aside:
        aside.write_text(json.dumps([asdict(entry) for entry in (*known, done)], indent=2))
    return done
