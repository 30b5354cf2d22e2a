"""JSON to rows: a chunk of lines at once where all is well, line by line where it is not.

Arrow parses a whole chunk at several hundred megabytes a second, but stops at the first
fault, and takes some things for granted that do not hold (that bytes are UTF-8, that nesting
is shallow, that text which looks like a date is one). A chunk that it refuses, or that it may
have misread, is read again line by line, with a reason for each line that is set aside.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial, reduce
from io import BytesIO
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from tamis.data.pieces import RAW, Columns, Piece, Rows, Unreadable, shown
from tamis.data.shapes import HALF_PAIR, BrokenNumber, WholeNumber
from tamis.data.streams import LARGEST_ROW, Cut, Lines, line_chunks, occurrences
from tamis.kernels.threads import spread

__all__ = ["DEEPEST", "json_lines", "json_values", "why_not_text"]

DEEPEST = 64
"""Lists and objects that may lie within each other in a row."""

_Entry = tuple[int, dict[str, Any] | str, bytes | str]
"""Line, the object or why there is none, and what was read."""

_HEAD, _GROUP = 100, 1000
_SMALL = 2**15
_UNSURE_DEPTH = 1000  # at some 10,000 Arrow's parser overruns the stack
_TORN = 16  # characters of a word, number or escape that the end of the window may have torn
_NUL = r"\u0000"
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
_SPACE = re.compile(r"[ \t\r\n]*")
_FIRST_NULL = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*null")  # Arrow crashes on such a line
_OPEN_LINE = re.compile(rb"[^\n]*[{\[,][ \t\r]*\n")


def _constant(word: str) -> BrokenNumber | None:
    return None if word == "NaN" else BrokenNumber(word)


_decoder = json.JSONDecoder(
    parse_int=WholeNumber, parse_float=BrokenNumber, parse_constant=_constant
)


def json_lines(stream: Iterator[bytes], schema: pa.Schema | None) -> Iterator[Piece]:
    """Yield the rows of JSON Lines.

    Parameters
    ----------
    stream : iterator of bytes
    schema : pyarrow.Schema, optional
        Columns that are expected; there may be others. Without one, each line is read on
        its own, the first hundred before the others.
    """
    if schema is None:
        for chunk in line_chunks(stream):
            yield from [chunk] if isinstance(chunk, Unreadable) else _line_by_line(chunk)
        return
    for pieces in spread(lambda chunk: _parsed_at_once(chunk, schema), line_chunks(stream)):
        yield from pieces


def json_values(stream: Iterator[bytes], schema: pa.Schema | None) -> Iterator[Piece]:
    """Yield the rows of a .json file: an array of objects, or objects one after the other.

    Where an object is broken, what comes after it cannot be told apart: all before is
    given, the rest is set aside as one.
    """
    try:
        first = next(stream, b"")
    except Cut as cut:
        yield Unreadable(None, str(cut), "")
        return
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"[") or _OPEN_LINE.match(start):
        yield from _grouped(_values(chain([first], stream)))
    else:
        yield from json_lines(chain([first], stream), schema)


def _parsed_at_once(chunk: Lines | Unreadable, schema: pa.Schema) -> list[Piece]:
    return [chunk] if isinstance(chunk, Unreadable) else [*_at_once(chunk, schema)]


def _at_once(chunk: Lines, schema: pa.Schema) -> Iterator[Piece]:
    """Parse whole lines at once; where that fails, each half, down to what is small."""
    table = _table(chunk.data, chunk.ends, schema)
    middle = chunk.data.find(b"\n", len(chunk.data) // 2) + 1
    if table is not None:
        if table.num_rows:
            yield Columns(range(chunk.first, chunk.first + table.num_rows), table)
    elif len(chunk.data) < _SMALL or middle in (0, len(chunk.data)):
        yield from _line_by_line(chunk)
    else:
        first, data, ends = chunk
        before = occurrences(data[:middle], b"\n")
        yield from _at_once(Lines(first, data[:middle], before), schema)
        yield from _at_once(Lines(first + before, data[middle:], ends - before), schema)


def _table(data: bytes, ends: int, schema: pa.Schema) -> pa.Table | None:
    """Parse whole lines at once; None where that fails or is not to be trusted."""
    if b"\0" in data or _FIRST_NULL.match(data) or _may_be_deep(data, ends) or not _is_text(data):
        return None
    known = pa.schema([column for column in schema if _native(column.type)])
    try:
        table = pa.json.read_json(
            BytesIO(data),
            pa.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            pa.json.ParseOptions(explicit_schema=known, unexpected_field_behavior="infer"),
        )
        table.validate()  # null in a list of objects comes out wrong (pyarrow 26)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if not _has_lines(data, ends, table.num_rows) or _may_hold_null(table):
        return None
    return None if any(map(_misread, table.columns, table.schema)) else table


def _line_by_line(chunk: Lines) -> Iterator[Piece]:
    lines = enumerate(chunk.data.split(b"\n"), start=chunk.first)
    return _grouped((number, _parsed(line), line) for number, line in lines if line.strip())


def _grouped(entries: Iterable[_Entry]) -> Iterator[Piece]:
    """Put single rows together, a hundred and then a thousand at a time."""
    entries, size = iter(entries), _HEAD
    while group := list(islice(entries, size)):
        size = _GROUP
        rows = Rows([], [], [])
        for number, value, raw in group:
            if isinstance(value, str):
                yield Unreadable(number, value, shown(raw))
            else:
                rows.add(number, value, raw)
        if rows.values:
            yield rows


def _parsed(line: bytes) -> dict[str, Any] | str:
    """Return the object that a line holds, or why it holds none."""
    reason = why_not_text(line)
    if reason:
        return reason
    text = line.decode().strip(" \t\r")
    try:
        return _object(_decoder.decode(text), text)
    except json.JSONDecodeError as error:
        return _complaint(error)
    except RecursionError:
        return f"nested more than {DEEPEST} deep"


def why_not_text(line: bytes) -> str:
    """Return what keeps a line from being text; '' if nothing does.

    >>> why_not_text("Müller".encode("latin-1"))
    'not UTF-8 (byte 0xfc at 2)'
    """
    if b"\0" in line:
        return "NUL bytes"
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 (byte 0x{line[error.start]:02x} at {error.start + 1})"
    return ""


def _object(value: object, text: str) -> dict[str, Any] | str:
    """Return a parsed value if it is an object that a row can be, or why it is none."""
    if not isinstance(value, dict):
        return "not an object"
    if text.count("{") + text.count("[") > DEEPEST and _depth(value) > DEEPEST:
        return f"nested more than {DEEPEST} deep"
    if _HALF_PAIR.search(text) and not _encodable(json.dumps(value, ensure_ascii=False)):
        return HALF_PAIR
    if _NUL in text and _has_nul_name(value):
        return "a name with a NUL in it, which no column can have"
    return value


def _values(stream: Iterator[bytes]) -> Iterator[_Entry]:
    """Yield the values of an array, or of a sequence, that may span lines."""
    text = _Window(stream)
    in_array = text.skip("[")
    while not text.at_end():
        if in_array and text.skip("]"):
            in_array = False
            continue
        line, start = text.line, text.text[text.at : text.at + RAW]
        try:
            value, raw = text.value()
        except json.JSONDecodeError as error:
            reason = text.cut or f"{_complaint(error)}; nothing after it can be told apart"
            yield line, reason, start
            return
        except RecursionError:
            yield line, f"nested more than {DEEPEST} deep; nothing after it was read", start
            return
        yield line, _object(value, raw) if _encodable(raw) else "not UTF-8", raw
        text.skip(",")
    if in_array or text.cut:
        yield text.line, text.cut or "the array has no end: rows may be missing", ""


class _Window:
    """A part of a text that moves on, value by value.

    Attributes
    ----------
    text : str
    at : int
        Where in `text` the next value starts, after white space.
    line : int
        Number of the line there.
    cut : str
        Why the text could not be read to its end, if so.
    """

    def __init__(self, stream: Iterator[bytes]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._pieces = map(decoder.decode, stream)
        self.text, self.at, self.line, self.cut = "", 0, 1, ""
        self._skip_space()

    def at_end(self) -> bool:
        """Return whether nothing is left."""
        return self.at == len(self.text)

    def skip(self, sign: str) -> bool:
        """Go past a sign and the white space after it; return whether it was there."""
        there = self.text.startswith(sign, self.at)
        if there:
            self.at += 1
            self._skip_space()
        return there

    def value(self) -> tuple[object, str]:
        """Go past a value, and return it and its text.

        Raises
        ------
        json.JSONDecodeError
            If none starts here.
        """
        while True:
            try:
                value, end = _decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                torn = error.pos > len(self.text) - _TORN or error.msg.startswith("Unterminated")
                if not torn or len(self.text) - self.at > LARGEST_ROW or not self._grow():
                    raise
                continue
            if end < len(self.text) or not self._grow():
                raw = self.text[self.at : end]
                self.line += raw.count("\n")
                self.at = end
                self._skip_space()
                return value, raw

    def _skip_space(self) -> None:
        while True:
            end = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            self.line += self.text.count("\n", self.at, end)
            self.at = end
            if end < len(self.text) or not self._grow():
                return

    def _grow(self) -> bool:
        """Let go of what is behind, and take in as much again as is left; False at the end."""
        held = [self.text[self.at :]]
        wanted = len(held[0])
        try:
            for piece in self._pieces:
                held.append(piece)
                wanted -= len(piece)
                if wanted <= 0:
                    break
        except Cut as cut:
            self.cut = str(cut)
        if len(held) == 1:
            return False
        self.text, self.at = "".join(held), 0
        return True


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_text(data: bytes) -> bool:
    whole = pa.py_buffer(np.array([0, len(data)]))
    try:
        pa.LargeStringArray.from_buffers(1, whole, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _may_be_deep(data: bytes, lines: int) -> bool:
    """Return whether a line may be nested so deep that Arrow's parser overruns the stack."""
    signs = occurrences(data, b"{", ord("[") ^ ord("{"))
    return signs - lines > _UNSURE_DEPTH and any(
        line.count(b"{") + line.count(b"[") > _UNSURE_DEPTH for line in data.split(b"\n")
    )


def _has_nul_name(value: object) -> bool:
    """Return whether a name in a value, at any depth, holds a NUL."""
    if isinstance(value, dict):
        return any("\0" in name or _has_nul_name(held) for name, held in value.items())
    return isinstance(value, list) and any(map(_has_nul_name, value))


def _may_hold_null(table: pa.Table) -> bool:
    """Return whether a line may be no object but null, which Arrow takes for a row of nulls."""
    if not all(column.null_count for column in table.columns):
        return False
    of_all = [column.is_null() for column in table.columns]
    return not of_all or bool(pc.any(reduce(pc.and_, of_all)).as_py())


def _has_lines(data: bytes, ends: int, rows: int) -> bool:
    """Return whether there are as many lines as rows, blank ones left aside."""
    lines = ends + (not data.endswith(b"\n"))
    return rows == lines or rows == sum(bool(line.strip()) for line in data.split(b"\n"))


def _native(type: pa.DataType) -> bool:
    """Return whether JSON has values of a type, so that Arrow can be told to expect it."""
    if pa.types.is_struct(type):
        return all(_native(held.type) for held in type)
    if pa.types.is_list(type):
        return _native(type.value_type)
    return type in (pa.bool_(), pa.int64(), pa.float64(), pa.large_string())


def _misread(array: pa.Array | pa.ChunkedArray, column: pa.Field, depth: int = 1) -> bool:
    """Return whether Arrow took text for a date, or a long integer or NaN for a float.

    Or it went too deep, or there is a name that no column can have.
    """
    if depth > DEEPEST or "\0" in column.name or pa.types.is_temporal(array.type):
        return True
    if pa.types.is_struct(array.type):
        return any(map(partial(_misread, depth=depth + 1), array.flatten(), array.type))
    if pa.types.is_list(array.type):
        return _misread(pc.list_flatten(array), array.type.value_field, depth + 1)
    if array.type == pa.float64():
        return not pc.all(pc.less(pc.abs(array), 2.0**63)).as_py()  # of none all are
    return False


def _depth(value: dict[str, Any]) -> int:
    """Return how many lists and objects lie within each other."""
    depth = 0
    level: list[Any] = [value]
    while level:
        depth += 1
        held = [list(v.values()) if isinstance(v, dict) else v for v in level]
        level = [v for values in held for v in values if isinstance(v, dict | list)]
    return depth


def _complaint(error: json.JSONDecodeError) -> str:
    what = error.msg.removesuffix(" at").removesuffix(" starting")
    return f"not JSON ({what[:1].lower()}{what[1:]})"
