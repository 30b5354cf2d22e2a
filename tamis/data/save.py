"""Writing a data set to a file, of the kind that its name says."""

import csv
import gzip
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from io import TextIOWrapper
from pathlib import Path
from typing import IO, cast

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from datasets import Dataset

from tamis.data.files import written_aside
from tamis.data.sources import kind_of
from tamis.data.streams import ahead
from tamis.errors import DataError

__all__ = ["row_groups", "save", "save_tables"]

_LINE = orjson.OPT_APPEND_NEWLINE
_ROWS = 1000
_ROW_GROUP_BYTES = 2**25


def save(dataset: Dataset, path: str | Path) -> Path:
    """Write a data set as .parquet, .jsonl, .json, .csv or .arrow, each also .gz or .zst.

    Rows stream through, and the file appears whole or not at all: what was at `path` stays
    until all is written. JSON has no NaN and no infinity: they become null. CSV has neither
    types nor null: lists and objects become JSON, null becomes ''.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    DataError
        If the name says no kind that is written, the place cannot be written, or the disk
        is full.
    """
    rows = dataset.with_format("arrow")
    return save_tables(rows.iter(_ROWS), rows.features.arrow_schema, path)


def save_tables(tables: Iterator[pa.Table], schema: pa.Schema, path: str | Path) -> Path:
    """Write tables of one schema as `save` writes a data set."""
    path = Path(path)
    known = kind_of(path)
    if known is None:
        raise DataError(
            f"{path}: not a kind of file that is written; give "
            f"{', '.join(f'.{kind}' for kind in _WRITERS)}, each also .gz or .zst"
        )
    if path.is_dir():
        raise DataError(f"{path}: a folder; give the name of a file")
    kind, packing = known
    with written_aside(path) as aside, aside.open("wb") as raw, _packed(raw, packing) as file:
        _WRITERS[kind](file, schema, tables)
    return path


def _packed(raw: IO[bytes], packing: str) -> AbstractContextManager[IO[bytes]]:
    if packing == "gz":
        return cast(IO[bytes], gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0))
    if packing == "zst":
        return zstandard.ZstdCompressor().stream_writer(raw, closefd=False)
    return nullcontext(raw)


def row_groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Join tables until they are of a size at which Parquet packs well and memory stays small."""
    group: list[pa.Table] = []
    size = 0
    for table in tables:
        group.append(table)
        size += table.nbytes
        if size > _ROW_GROUP_BYTES:
            yield pa.concat_tables(group)
            group, size = [], 0
    if group:
        yield pa.concat_tables(group)


def _parquet(file: IO[bytes], schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        groups = row_groups(table.cast(schema) for table in tables)
        for group in ahead(groups, depth=1):  # each is large
            writer.write_table(group)


def _arrow(file: IO[bytes], schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    with pa.ipc.new_file(file, schema) as writer:
        for table in tables:
            writer.write_table(table.cast(schema))


def _jsonl(file: IO[bytes], _: pa.Schema, tables: Iterator[pa.Table]) -> None:
    for lines in ahead(b"".join(_as_json(row, _LINE) for row in t.to_pylist()) for t in tables):
        file.write(lines)  # and packs them, while the next ones are made


def _json(file: IO[bytes], _: pa.Schema, tables: Iterator[pa.Table]) -> None:
    before = b"[\n"
    for table in tables:
        for row in table.to_pylist():
            file.write(before + _as_json(row))
            before = b",\n"
    file.write(b"\n]\n" if before == b",\n" else b"[]\n")


def _csv(file: IO[bytes], schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(schema.names)
    for table in tables:
        writer.writerows([_as_text(value) for value in row.values()] for row in table.to_pylist())
    text.detach()


_WRITERS: dict[str, Callable[[IO[bytes], pa.Schema, Iterator[pa.Table]], None]] = {
    "parquet": _parquet,
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "arrow": _arrow,
}


def _as_json(value: object, option: int = 0) -> bytes:
    return orjson.dumps(value, str, option | orjson.OPT_PASSTHROUGH_DATETIME)


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return _as_json(value).decode() if isinstance(value, bool | dict | list) else str(value)
