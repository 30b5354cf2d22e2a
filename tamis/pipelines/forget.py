"""Rows that someone asked to have deleted leave every file that was made of them.

What is reached: pools and their texts, rows set aside when a pool was read, each run's
verdicts, curated set and report, exported files, and what models said of the row, as far as it
can be known: vectors and figures by the row's id or its words, and answers that hold its words.
Shared step results that saw the row are thrown away, and made anew when they are next needed.
Data sets on the hub are named: their history is not ours to rewrite. So are sources outside
TAMIS_HOME; a source that still has the row is read without it from now on.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from tamis.data import catalog, forgotten
from tamis.data.examples import whole
from tamis.data.files import home, written_aside
from tamis.data.forgotten import Ids, is_among
from tamis.data.ids import batch_ids, ids_of
from tamis.data.load import with_forgotten
from tamis.data.save import save
from tamis.data.sources import HUB
from tamis.errors import DataError, SettingError
from tamis.models.kept import forget_words
from tamis.pipelines.outgoing import exports
from tamis.pipelines.runs import runs

__all__ = ["Forgotten", "Row", "find_rows", "forget"]

_FEWEST_CHARACTERS = 3


@dataclass(frozen=True)
class Row:
    """A row of a pool, and where it is from."""

    example_id: str
    source: str
    prompt: str
    response: str
    text: str


@dataclass(frozen=True)
class Forgotten:
    """What was reached.

    Attributes
    ----------
    ids : tuple of str
    files : int
        Files that were written anew or removed.
    features : int
        Values of models that were removed.
    runs : tuple of str
        Runs that had looked at a row; their reports were removed, and can be written again.
    published : tuple of str
        Places out of reach that were given a row: data sets of the hub, files that are gone.
    """

    ids: tuple[str, ...]
    files: int
    features: int
    runs: tuple[str, ...]
    published: tuple[str, ...]


def find_rows(ids: Sequence[str] = (), text: str | None = None) -> list[Row]:
    """Return the rows of all pools that have one of these ids, or hold this text.

    Parameters
    ----------
    ids : sequence of str
        Hexadecimal ids, or enough of their start.
    text : str, optional
        What someone wrote, letter by letter: a name, an address, a sentence.

    Raises
    ------
    SettingError
        If an id is none, or fits nothing, or the text is too short to tell anything.
    """
    if text is not None and len(text.strip()) < _FEWEST_CHARACTERS:
        raise SettingError(f"--text '{text}': give at least {_FEWEST_CHARACTERS} characters")
    found: dict[str, Row] = {}
    for path in (home() / "pools").glob("*/examples.parquet"):
        for row in _matching(path, ids, text):
            found.setdefault(row.example_id, row)
    for start in ids:
        if not any(known.startswith(start) for known in found):
            raise SettingError(f"example '{start}': in no pool of {home()}; give an id, or --text")
    return list(found.values())


def forget(rows: Sequence[Row], text: str | None = None) -> Forgotten:
    """Remove these rows from every file under TAMIS_HOME, and from what was exported.

    Stopped in the middle, it can be called again.

    Parameters
    ----------
    rows : sequence of Row
        As `find_rows` gives them.
    text : str, optional
        Rows that could not be read, and models' answers, go if they hold this.
    """
    ids = np.unique(ids_of(pa.array([row.example_id for row in rows], pa.string())))
    forgotten.add(ids)  # first: from now on no source brings them back
    said = [{part for part in (row.prompt, row.response) if part} or {row.text} for row in rows]
    seen, places = [], []
    files = 0
    for run in runs():
        changed = _of_run(run.folder, ids)
        outside = [_of_export(export.where, ids) for export in exports(run)] if changed else []
        files += changed + sum(outside_changed for _, outside_changed in outside)
        places += [where for where, outside_changed in outside if not outside_changed]
        seen += [run.id] if changed else []
    files += _of_steps(ids) + _of_pools(ids, said, text)
    words = {word for row in rows for word in (row.prompt, row.response, row.text) if word}
    features = forget_words(ids, words, text)
    catalog.rebuild()
    return Forgotten(
        tuple(one.tobytes().hex() for one in ids), files, features, tuple(seen),
        tuple(dict.fromkeys(places)),
    )  # fmt: skip


def _matching(path: Path, ids: Sequence[str], text: str | None) -> Iterator[Row]:
    """Yield the rows of a pool's texts that fit, a row group at a time."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for part in file.iter_batches():
            batch = whole(pa.Table.from_batches([part]))
            fits = np.zeros(len(batch), bool)
            for start in ids:
                fits |= np.asarray(pc.starts_with(batch["example_id"], start))
            if text is not None:
                for column in ("prompt", "response", "text"):
                    fits |= np.asarray(pc.match_substring(batch[column], text))
            for row in batch.filter(pa.array(fits)).to_pylist():
                yield Row(**{**row, "source": row["source"] or ""})


def _of_run(folder: Path, ids: Ids) -> int:
    """Remove rows from a run's verdicts and curated set; return how many files changed."""
    changed = sum(_renumbered(path, ids) for path in (folder / "steps").glob("*.parquet"))
    curated = folder / "curated.parquet"
    changed += curated.exists() and _filtered(curated, ids)
    report = folder / "report.html"
    if changed and report.exists():
        report.unlink()
        changed += 1
    return changed


def _of_steps(ids: Ids) -> int:
    """Throw away the shared results that saw a row: they count its place."""
    changed = 0
    for path in (home() / "steps").glob("*.parquet"):
        column = pq.read_table(path, columns=["example_id"])["example_id"]
        if is_among(ids_of(column), ids).any():
            path.unlink()
            changed += 1
    return changed


def _of_export(where: str, ids: Ids) -> tuple[str, bool]:
    """Remove rows from an exported file; say whether it could be reached."""
    path = Path(where)
    if where.startswith(HUB) or not path.exists():
        return where, False
    try:
        rows = with_forgotten(path)
        stays = ~is_among(ids_of(rows.with_format("arrow")["tamis_id"][:]), ids)
    except (DataError, KeyError):  # it is something else by now
        return where, False
    if not stays.all():
        save(rows.select(np.flatnonzero(stays)), path)
    return where, True


def _of_pools(ids: Ids, said: list[set[str]], text: str | None) -> int:
    changed = 0
    for folder in (home() / "pools").glob("*/"):
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            changed += _of_pool(folder, ids, said, text)
    return changed


def _of_pool(folder: Path, ids: Ids, said: list[set[str]], text: str | None) -> int:
    examples, rows = folder / "examples.parquet", folder / "pool.arrow"
    aside = folder / "rejected.parquet"
    changed = 0
    held = examples.exists() and _filtered(examples, ids, "example_id")
    if rows.exists() and _holds(rows, said, ids):
        forgotten.without(rows, lambda table: _are(table, said, ids))
        changed += 1
    if text is not None and aside.exists():
        changed += _without_text(aside, text)
    for cache in folder.glob("cache-*"):  # what `datasets` made of the rows
        cache.unlink()
    return changed + held


def _holds(path: Path, said: list[set[str]], ids: Ids) -> bool:
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
        return any(_are(pa.Table.from_batches([batch]), said, ids).any() for batch in stream)


def _are(table: pa.Table, said: list[set[str]], ids: Ids) -> npt.NDArray[np.bool_]:
    """Return which rows are to go: by their id, or by their words, whatever the columns' names.

    A pool whose columns were named when it was read lies in two files, of which the first
    has the names of its source.
    """
    try:
        goes = is_among(batch_ids(table), ids)
    except DataError:  # no format fits the source's own names
        goes = np.zeros(table.num_rows, bool)
    columns = [
        column.to_numpy(zero_copy_only=False)
        for column in table.columns
        if pa.types.is_large_string(column.type)
    ]
    for parts in said:
        held = [np.any([column == part for column in columns], axis=0) for part in parts if columns]
        if held:
            goes = goes | np.all(held, axis=0)
    return goes


def _without_text(path: Path, text: str) -> bool:
    """Empty what is kept of the rows that could not be read, where it holds a text."""
    table = pq.read_table(path)
    holds = np.asarray(pc.match_substring(table["raw"], text))
    if not holds.any():
        return False
    place = table.schema.get_field_index("raw")
    blank = pc.if_else(pa.array(holds), pa.scalar(""), table["raw"])
    with written_aside(path) as aside:
        pq.write_table(table.set_column(place, "raw", blank), aside, compression="zstd")
    return True


def _renumbered(path: Path, ids: Ids) -> bool:
    """Write a step's verdicts anew without these rows; the others keep their order."""
    table = pq.read_table(path)
    stays = ~is_among(ids_of(table["example_id"]), ids)
    if stays.all():
        return False
    facts = json.loads(table.schema.metadata[b"tamis"])
    kept = table.filter(pa.array(stays))
    ranks = kept["rank"].combine_chunks()
    order = pc.rank(ranks.drop_null(), tiebreaker="first").to_numpy()
    dense = np.zeros(len(kept), np.int64)
    is_kept = np.asarray(ranks.is_valid())
    dense[is_kept] = order
    columns = {
        "position": pa.array(np.arange(len(kept))),
        "rank": pa.array(dense, mask=~is_kept),
    }
    for name, column in columns.items():
        kept = kept.set_column(kept.schema.get_field_index(name), name, column)
    facts["kept"] = int(is_kept.sum())
    metadata = {"tamis": json.dumps(facts)}
    with written_aside(path) as aside:
        pq.write_table(kept.replace_schema_metadata(metadata), aside, compression="zstd")
    return True


def _filtered(path: Path, ids: Ids, column: str = "tamis_id") -> bool:
    """Write a file of rows anew without these; say whether it had any."""
    if column not in pq.read_schema(path).names:
        return False
    table = pq.read_table(path)
    stays = ~is_among(ids_of(table[column]), ids)
    if stays.all():
        return False
    with written_aside(path) as aside:
        pq.write_table(table.filter(pa.array(stays)), aside, compression="zstd")
    return True
