"""Readers: the rows of a file of each kind, piece by piece, and what could not be read."""

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from tamis.data.jsonl import json_lines, json_values, why_not_text
from tamis.data.pieces import Columns, Piece, Unreadable, shown
from tamis.data.shapes import TEXT
from tamis.data.streams import LARGEST_ROW, Cut, Lines, ahead, blocks, line_chunks

__all__ = ["KINDS", "PACKINGS", "read_file"]

Moved = Callable[[int], object]

PACKINGS = ("gz", "zst")
_BATCH_BYTES = 2**24
_GROUP = 1000
_IPC_FILE = b"ARROW1\0\0"


def read_file(
    path: Path, kind: str, packing: str, schema: pa.Schema | None, moved: Moved
) -> Iterator[Piece]:
    """Yield the rows of a file.

    Parameters
    ----------
    path : Path
    kind : one of KINDS
    packing : 'gz', 'zst' or ''
    schema : pyarrow.Schema, optional
        Columns that are expected, which makes JSON Lines fast.
    moved : function
        Called with numbers of bytes, as they are read.
    """
    stream = blocks(path, packing, moved)
    if kind in _TEXT:
        yield from _TEXT[kind](ahead(stream) if packing else stream, schema)
    elif packing:
        with NamedTemporaryFile(suffix=f".{kind}") as unpacked:
            cut = _unpacked(stream, unpacked)
            whole = _TABLES[kind](Path(unpacked.name))
            yield from whole if not cut else (p for p in whole if not isinstance(p, Unreadable))
            if cut:
                yield Unreadable(None, cut, "")
    else:
        yield from _TABLES[kind](path)


def _unpacked(stream: Iterator[bytes], file: IO[bytes]) -> str:
    """Write a stream to a file as far as it goes; return why it broke off, if it did."""
    try:
        file.writelines(stream)
    except Cut as cut:
        return str(cut)
    finally:
        file.flush()
    return ""


def _parquet(path: Path) -> Iterator[Piece]:
    try:
        file = pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowInvalid, OSError) as error:
        yield Unreadable(None, f"not a Parquet file ({_one_line(error)})", "")
        return
    row_bytes = sum(
        file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)
    ) // max(file.metadata.num_rows, 1)
    rows = min(max(_BATCH_BYTES // (row_bytes + 1), 1), 2**16)
    yield from _batches(file.iter_batches(rows), file.schema_arrow)


def _arrow(path: Path) -> Iterator[Piece]:
    with pa.memory_map(str(path)) as mapped:
        try:
            schema, batches, has_end = _opened(mapped)
        except (pa.ArrowInvalid, OSError) as error:
            yield Unreadable(None, f"not an Arrow file ({_one_line(error)})", "")
            return
        yield from _batches(batches, schema)
        if not has_end:
            yield Unreadable(None, "the file has no end: rows may be missing", "")


def _opened(mapped: pa.MemoryMappedFile) -> tuple[pa.Schema, Iterable[pa.RecordBatch], bool]:
    """Open an IPC file or stream; return its schema and batches, and whether it has its end.

    A file is a stream behind its first eight bytes, and can be read as one without its end.
    """
    is_file = mapped.read(len(_IPC_FILE)) == _IPC_FILE
    if is_file:
        try:
            file = pa.ipc.open_file(mapped)
        except pa.ArrowInvalid:
            pass
        else:
            return file.schema, map(file.get_batch, range(file.num_record_batches)), True
    mapped.seek(len(_IPC_FILE) if is_file else 0)
    stream = pa.ipc.open_stream(mapped)
    return stream.schema, stream, not is_file


def _batches(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[Piece]:
    """Yield the batches of a file that has types, until one cannot be read."""
    yield Columns((), schema.empty_table())
    row = 1
    try:
        for batch in batches:
            yield from _valid(pa.Table.from_batches([batch]), row)
            row += batch.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        yield Unreadable(row, f"damaged, nothing after it can be read ({_one_line(error)})", "")


def _valid(table: pa.Table, row: int) -> Iterator[Piece]:
    """Yield the rows whose bytes are what their types say, and the others one by one."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        if table.num_rows == 1:
            utf8 = "UTF8" in str(error)
            yield Unreadable(row, "not UTF-8" if utf8 else _one_line(error), "")
            return
        half = table.num_rows // 2
        yield from _valid(table.slice(0, half), row)
        yield from _valid(table.slice(half), row + half)
    else:
        yield Columns(range(row, row + table.num_rows), table)


def _csv(stream: Iterator[bytes], _: pa.Schema | None) -> Iterator[Piece]:
    """Yield the rows of a CSV file. It has no types and no null: all values are text."""
    csv.field_size_limit(LARGEST_ROW)
    records = _Records(line_chunks(stream))
    names: list[str] = []
    lines: list[int] = []
    rows: list[list[str]] = []
    size = 0
    for line, record in records:
        if isinstance(record, Unreadable):
            yield record
        elif not names:
            names = record
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                yield Unreadable(line, f"the header names '{twice[0]}' twice", ",".join(names))
                return
        elif len(record) != len(names):
            reason = f"{len(record)} fields where the header has {len(names)}"
            yield Unreadable(line, reason, shown(",".join(record)))
        else:
            lines.append(line)
            rows.append(record)
            size += sum(map(len, record))
            if size > _BATCH_BYTES or len(rows) == _GROUP:
                yield _as_columns(names, lines, rows)
                lines, rows, size = [], [], 0
    if rows:
        yield _as_columns(names, lines, rows)


def _as_columns(names: list[str], lines: list[int], rows: list[list[str]]) -> Columns:
    columns = [pa.array(column, TEXT) for column in zip(*rows, strict=True)]
    return Columns(lines, pa.table(columns, names=names))


class _Records:
    """The records of a CSV file, each with the line where it starts.

    A record that cannot be read is set aside with its first line alone: reading goes on
    with the next line, so that one stray quote does not swallow the rest of the file.
    """

    def __init__(self, chunks: Iterator[Lines | Unreadable]) -> None:
        self._chunks = chunks
        self._waiting: deque[tuple[int, str]] = deque()
        self._taken: list[tuple[int, str]] = []
        self._faults: dict[int, Unreadable] = {}
        self._lost: list[Unreadable] = []

    def __iter__(self) -> Iterator[tuple[int, list[str] | Unreadable]]:
        reader = csv.reader(iter(self._next_line, None), strict=True)
        while True:
            self._taken.clear()
            try:
                record = next(reader, None)
            except csv.Error as error:
                line, text = self._taken[0]
                self._waiting.extendleft(reversed(self._taken[1:]))
                yield (
                    line,
                    self._faults.get(line) or Unreadable(line, f"not CSV ({error})", shown(text)),
                )
                reader = csv.reader(iter(self._next_line, None), strict=True)
                continue
            if record is None:
                break
            faults = [self._faults[line] for line, _ in self._taken if line in self._faults]
            if faults:
                yield self._taken[0][0], faults[0]
            elif record:
                yield self._taken[0][0], record
        for lost in self._lost:
            yield lost.line or 1, lost

    def _next_line(self) -> str | None:
        while not self._waiting:
            chunk = next(self._chunks, None)
            if chunk is None:
                return None
            if isinstance(chunk, Unreadable):
                self._lost.append(chunk)
            else:
                self._waiting.extend(self._decoded(chunk))
        self._taken.append(self._waiting.popleft())
        return self._taken[-1][1]

    def _decoded(self, chunk: Lines) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(BytesIO(chunk.data), start=chunk.first):
            reason = why_not_text(line)
            if reason:
                self._faults[number] = Unreadable(number, reason, shown(line))
            yield number, line.decode(errors="replace")


_TEXT: dict[str, Callable[[Iterator[bytes], pa.Schema | None], Iterator[Piece]]] = {
    "jsonl": json_lines,
    "json": json_values,
    "csv": _csv,
}
_TABLES: dict[str, Callable[[Path], Iterator[Piece]]] = {
    "parquet": _parquet,
    "arrow": _arrow,
}
KINDS = (*_TEXT, *_TABLES)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")
