"""Reading a pool: any file or object in, a memory-mapped Dataset out.

What is read is written once, as an Arrow file below `home()/pools`, in a folder named by the
content of the source: a second load of unchanged files, wherever they lie by then, only hashes
them. Rows stream through
in pieces, so memory does not grow with the source.

A row that cannot be used is set aside with its place and a reason, in `rejected.parquet`
beside the pool. How columns get one type is said in `tamis.data.shapes`, which columns are
prompt, response and text in `tamis.data.formats`.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset
from filelock import FileLock
from tqdm import tqdm

from tamis.data import forgotten, formats
from tamis.data.files import home, laid_down
from tamis.data.ids import example_ids
from tamis.data.pieces import Columns, Piece, Unreadable
from tamis.data.progress import progress_bar
from tamis.data.readers import Moved, read_file
from tamis.data.shapes import Shape, conformed
from tamis.data.sources import HUB, File, digest, find, hub_rows, in_memory, rows_digest
from tamis.data.streams import ahead
from tamis.errors import DataError, one_line

__all__ = ["Source", "begun", "load", "rejected", "with_forgotten"]

Source: TypeAlias = str | Path | Dataset | pa.Table | pd.DataFrame | list[dict[str, Any]]
"""What can be read: a name, or rows in memory."""

_RULE = "1"  # another way of reading is another number, or old pools would be taken for new
_ROWS = 10_000
_HEAD = 200
_PATIENCE_SECONDS = 2.0  # for what an unwanted reading wrote to be taken away
_REJECTED = pa.schema(
    [("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("raw", pa.string())]
)


_being_read: dict[tuple[str | Path, bool], Future[tuple[str, Dataset]]] = {}


class _Unwanted(Exception):
    """Nobody waits for what is being read."""


@dataclass(frozen=True)
class _Origin:
    """Where rows come from.

    Attributes
    ----------
    name : str
        As errors and rejected rows say it.
    pieces : function of (schema or None, moved)
        Reads it from the start.
    size : int
        Bytes, for the progress bar; 0 where rows are in memory.
    """

    name: str
    pieces: Callable[[pa.Schema | None, Moved], Iterator[Piece]]
    size: int = 0


def load(
    source: Source,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    strict: bool = False,
    progress: bool = True,
) -> Dataset:
    """Read a pool.

    Parameters
    ----------
    source : path, Dataset, pyarrow.Table, pandas.DataFrame or list of dict
        A file (.parquet, .jsonl, .json, .csv or .arrow, each also .gz or .zst), a folder or
        a glob of such files, or a data set of the hub ("hf://org/name" or
        "hf://org/name:split"). A Dataset comes back as it is.
    format : str, optional
        Which format the columns have, where `tamis.data.formats` would find another.
    columns : mapping, optional
        Which columns to use: {"text": "body"}, or {"prompt": "q", "response": "a"}. They are
        renamed, so that the choice stays with the rows.
    strict : bool
        Make the first row that cannot be used an error, rather than set it aside.
    progress : bool
        Draw a bar on stderr, when that is a terminal.

    Returns
    -------
    Dataset
        Memory-mapped; text is large_string.

    Raises
    ------
    DataError
        If there is nothing to read, no row can be used, or no column has text.
    SettingError
        If `format` or `columns` make no sense.

    Notes
    -----
    CSV has no types: all its values are text. NaN in JSON is null.
    """
    if isinstance(source, Dataset) and format is None and not columns:
        return source
    name, pool = _read(source, strict, progress)
    try:
        changes = formats.renamed(pool.column_names, format, columns)
        renamed = pool.rename_columns(changes) if changes else pool
        formats.of(renamed)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    whole = _without_forgotten(renamed)
    return renamed if whole is None else whole.rename_columns(changes) if changes else whole


@contextmanager
def begun(source: Source | None, *, strict: bool = False, progress: bool = True) -> Iterator[None]:
    """Begin to read a source while the block does other things; `load` in it has what was read.

    What goes wrong is not said here: `load` reads the source again, and says it. A block that
    fails ends the reading.
    """
    if not isinstance(source, str | Path):
        yield
        return
    unwanted, read = Event(), Future[tuple[str, Dataset]]()

    def get() -> None:
        try:
            read.set_result(_read_now(source, strict, progress, unwanted))
        except BaseException as error:
            read.set_exception(error)

    reading = Thread(target=get, daemon=True)  # hashing, which nothing ends, may be left
    reading.start()
    _being_read[source, strict] = read
    try:
        yield
    except BaseException:
        unwanted.set()
        reading.join(_PATIENCE_SECONDS)
        raise
    finally:
        del _being_read[source, strict]


def with_forgotten(path: Path) -> Dataset:
    """Read a file as `load` does, with the rows in it that are to be forgotten."""
    return _read(path, strict=False, progress=False)[1]


def rejected(pool: Dataset) -> Dataset:
    """Return the rows that were set aside when `pool` was read.

    Returns
    -------
    Dataset
        Columns file (as it was called when its content was first read), line (from 1; the
        row, where a file has no lines; null where a whole file is meant), reason and raw (the
        first 1000 characters). Empty if there are none, or `pool` was not read by `load`.
    """
    folders = {Path(file["filename"]).parent for file in pool.cache_files}
    tables = [
        pq.read_table(folder / "rejected.parquet")
        for folder in sorted(folders)
        if (folder / "rejected.parquet").is_file()
    ]
    return Dataset(pa.concat_tables(tables) if tables else _REJECTED.empty_table())


def _without_forgotten(pool: Dataset) -> Dataset | None:
    """Remove from the pool's file the rows that are to be forgotten; None if it has none."""
    wanted = forgotten.known()
    if not len(wanted) or len(pool.cache_files) != 1:
        return None
    goes = forgotten.is_among(example_ids(pool), wanted)
    if not goes.any():
        return None
    path = Path(pool.cache_files[0]["filename"])
    rows = iter(np.split(goes, np.cumsum(_batch_lengths(path))[:-1]))
    with FileLock(path.parent.with_name(f"{path.parent.name}.lock")):
        forgotten.without(path, lambda _: next(rows))
    return Dataset.from_file(str(path))


def _batch_lengths(path: Path) -> list[int]:
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
        return [batch.num_rows for batch in stream]


def _read(source: Source, strict: bool, progress: bool) -> tuple[str, Dataset]:
    if isinstance(source, Dataset):
        return "the Dataset", source
    if isinstance(source, str | Path) and (source, strict) in _being_read:
        with suppress(Exception):
            return _being_read[source, strict].result()
    return _read_now(source, strict, progress)


def _read_now(
    source: Source, strict: bool, progress: bool, unwanted: Event | None = None
) -> tuple[str, Dataset]:
    name, key, origins = _origins(source)
    if unwanted is not None:
        origins = [_while_wanted(origin, unwanted) for origin in origins]
    pools = home() / "pools"
    folder = pools / key
    try:
        pools.mkdir(parents=True, exist_ok=True)
        with FileLock(pools / f"{key}.lock"):
            if not (folder / "pool.arrow").is_file():
                _make(name, origins, folder, strict=strict, progress=progress)
        if strict and (folder / "rejected.parquet").is_file():
            first = pq.read_table(folder / "rejected.parquet").slice(0, 1).to_pylist()[0]
            raise _refusal(first.pop("file"), Unreadable(**first))
    except OSError as error:
        raise DataError(
            f"{pools}: cannot be written ({error.strerror or error}); "
            "free space, or give another place by TAMIS_HOME"
        ) from error
    return name, Dataset.from_file(str(folder / "pool.arrow"))


def _origins(source: Source) -> tuple[str, str, list[_Origin]]:
    """Return the name of a source, the key of its content, and where its rows come from."""
    if isinstance(source, str) and source.startswith(HUB):
        key, pieces = hub_rows(source)
        return source, key, [_Origin(source, lambda *_: pieces())]
    if isinstance(source, str | Path):
        files = find(source)
        return str(source), digest(files, _RULE), [_origin(file) for file in files]
    name, rows = in_memory(source)
    return name, rows_digest(rows, _RULE), [_Origin(name, lambda *_: (row for row in rows))]


def _while_wanted(origin: _Origin, unwanted: Event) -> _Origin:
    """Return the same origin, whose reading ends with `_Unwanted` once that is said."""

    def pieces(schema: pa.Schema | None, moved: Moved) -> Iterator[Piece]:
        for piece in origin.pieces(schema, moved):
            if unwanted.is_set():
                raise _Unwanted
            yield piece

    return replace(origin, pieces=pieces)


def _origin(file: File) -> _Origin:
    return _Origin(
        str(file.path),
        lambda schema, moved: read_file(*file, schema, moved),
        file.path.stat().st_size,
    )


def _make(name: str, origins: list[_Origin], folder: Path, *, strict: bool, progress: bool) -> None:
    """Write the pool of some origins to a folder, which appears whole or not at all."""
    part = folder.with_name(f"{folder.name}.part")
    for old in (part, folder):  # what a killed run left; the lock is ours
        shutil.rmtree(old, ignore_errors=True)
    part.mkdir()
    bar = progress_bar(
        total=sum(origin.size for origin in origins) or None,
        desc=f"read {name}",
        unit="B",
        unit_scale=True,
        progress=progress,
    )
    try:
        with bar:
            rows, aside = _write(origins, part, bar, strict)
        if not rows:
            raise DataError(_why_nothing(name, aside))
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(
    origins: list[_Origin], part: Path, bar: "tqdm[Any]", strict: bool
) -> tuple[int, "_Aside"]:
    """Write the rows that can be used; return how many, and what was set aside.

    The types of the columns are guessed from the heads of all files. Should the rest not
    fit, all is read a second time, by the types that the whole turned out to have.
    """
    seen = _heads(origins)
    schema = seen.schema()
    seen.forget_counts()
    with _Pool(part, schema, strict) as pool:
        fits = True
        for origin, piece in ahead(_pieces(origins, schema, bar)):
            if not isinstance(piece, Unreadable):
                seen.see(piece)
                fits = fits and seen.schema() == schema
            if fits or isinstance(piece, Unreadable):
                pool.write(origin, piece)
    if not fits:
        bar.reset()
        schema = seen.schema()
        with _Pool(part, schema, strict) as pool:
            for origin, piece in ahead(_pieces(origins, schema, bar)):
                pool.write(origin, piece)
    return pool.rows, pool.aside


def _check_names(origin: str, piece: Piece) -> None:
    """Raise DataError for columns that cannot be told apart: by name, or before its NUL."""
    names = piece.table.column_names if isinstance(piece, Columns) else []
    for name in names:
        if "\0" in name:
            raise DataError(f"{origin}: a NUL in the name of column {name!r}; give it another")
        if names.count(name) > 1:
            raise DataError(f"{origin}: two columns are called '{name}'; give one another name")


def _heads(origins: list[_Origin]) -> Shape:
    """Look at the first rows of every file."""
    seen = Shape()
    for origin in origins:
        pieces = islice(origin.pieces(None, lambda _: None), _HEAD)
        readable = (piece for piece in pieces if not isinstance(piece, Unreadable))
        for piece in islice(readable, 1):
            _check_names(origin.name, piece)
            seen.see(piece)
    return seen


def _pieces(
    origins: list[_Origin], schema: pa.Schema, bar: "tqdm[Any]"
) -> Iterator[tuple[str, Piece]]:
    for origin in origins:
        for piece in origin.pieces(schema, bar.update):
            _check_names(origin.name, piece)
            yield origin.name, piece


class _Pool:
    """The files of a pool that is being written."""

    def __init__(self, part: Path, schema: pa.Schema, strict: bool) -> None:
        self._schema, self._strict = schema, strict
        self._file = (part / "pool.arrow").open("wb")
        self._stream = pa.ipc.new_stream(self._file, schema)
        self._laid = ExitStack()
        self._wrote = self._laid.enter_context(laid_down(part / "pool.arrow"))
        self.rows = 0
        self.aside = _Aside(part / "rejected.parquet")

    def write(self, origin: str, piece: Piece) -> None:
        """Write the rows of a piece that can be used, and set the others aside."""
        if isinstance(piece, Unreadable):
            misfits = [piece]
        else:
            table, misfits = conformed(piece, self._schema)
            self._stream.write_table(table, max_chunksize=_ROWS)
            self.rows += table.num_rows
            self._wrote(table.nbytes)
        for row in misfits:
            if self._strict:
                raise _refusal(origin, row)
            self.aside.add(origin, row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file, self._laid:
            self._stream.close()
            self.aside.close()
            self._file.flush()
            os.fsync(self._file.fileno())


class _Aside:
    """The rows that were set aside, in a Parquet file that is only there if there are any."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[dict[str, Any]] = []
        self.count = 0
        self.first: dict[str, Any] | None = None

    def add(self, origin: str, row: Unreadable) -> None:
        self._waiting.append({"file": origin, **row._asdict(), "reason": one_line(row.reason)})
        self.count += 1
        self.first = self.first or self._waiting[0]
        if len(self._waiting) == _ROWS:
            self._flush()

    def close(self) -> None:
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, _REJECTED, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=_REJECTED))
        self._waiting.clear()


def _refusal(origin: str, row: Unreadable) -> DataError:
    return DataError(
        f"{_place(origin, row.line)}: {row.reason}; mend it, or drop --strict to set it aside"
    )


def _why_nothing(name: str, aside: _Aside) -> str:
    if aside.first is None:
        return f"{name}: no rows; give data that has some"
    first = _place(aside.first["file"], aside.first["line"]).removeprefix(name).lstrip(", ")
    return (
        f"{name}: no row can be used, {aside.count} set aside; "
        f"the first{f', {first}' if first else ''}: {aside.first['reason']}"
    )


def _place(origin: str, line: int | None) -> str:
    return origin if line is None else f"{origin}, line {line}"
