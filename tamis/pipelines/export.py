"""Publish the curated set of a run: in the form that a trainer reads, with where it is from.

Each row that goes out says its source and its licence beside its text. A licence is that of
the row's own column (`licence`, `license`), or the one that the recipe gives for its source;
where neither says, it is 'unknown'.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.data import formats, personal
from tamis.data.convert import convert
from tamis.data.files import written_aside
from tamis.data.save import save
from tamis.data.sources import HUB
from tamis.errors import SettingError
from tamis.pipelines.runs import Run

__all__ = ["UNKNOWN", "Exported", "export_run", "exports", "prepared"]

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


def export_run(
    run: Run,
    to: str,
    form: str = "parquet",
    *,
    allow: Collection[str] | None = None,
    mask: bool | None = None,
    private: bool = True,
    test: float = 0.0,
    languages: Collection[str] = (),
) -> Exported:
    """Write the curated set of `run`, best first, and record where it went.

    Parameters
    ----------
    run : Run
    to : str
        A file, whose suffix says how it is written; a folder, which gets `<recipe>.parquet`;
        or a data set of the hub, 'hf://org/name'.
    form : str
        'parquet' keeps the pool's own columns; a format's name turns rows into it.
    allow : collection of str, optional
        Licences that rows may have; by default any.
    mask : bool, optional
        Put the kind in the place of personal data; by default as the recipe says.
    private, test, languages
        For the hub: see `tamis.push_to_hub`.

    Raises
    ------
    SettingError
        For a form that does not exist.
    DataError
        If the place cannot be written.
    HubError
        If the hub refuses, or does not answer.
    """
    from tamis.pipelines.publish import push_to_hub

    if to.startswith(HUB):
        push_to_hub(
            run, to, private=private, format=form, allow=allow, mask=mask, test=test,
            languages=languages,
        )  # fmt: skip
        return exports(run)[-1]
    rows, left_out = prepared(run, form, allow=allow, mask=mask)
    path = Path(to)
    if not path.suffix or to.endswith("/"):
        path = path / f"{run.record.recipe}.parquet"
    save(rows, path)
    return note_export(run, Exported(str(path.absolute()), form, len(rows), left_out))


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
