"""One type for each column, whatever the files, lines and batches disagree on.

A value is plain (text, a number, true or false, a date, …), a list or an object. A column is
what most of its values are; where two are equally many, plain comes before list, and list
before object. A value of another make is set aside, with its row. Of plain values:

- of one kind: that is the column's type;
- whole and broken numbers: 64-bit floats;
- anything else that is mixed, and whole numbers beyond 64 bits: text, as written in the file.

The same holds inside lists and objects. An object may lack fields: what is missing is null,
and a field that was never filled has the type null. Since values are only counted, the rule
does not depend on the order of rows, nor on how they are read.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from tamis.data.pieces import Columns, Rows, Unreadable, shown

__all__ = ["BrokenNumber", "Misfit", "Shape", "WholeNumber", "conformed", "fitter"]

Kind: TypeAlias = pa.DataType | str
Fitter: TypeAlias = Callable[[object], object]

HALF_PAIR = "half a surrogate pair, which is no text"
TEXT = pa.large_string()
_BEYOND = "a whole number beyond 64 bits"
_INT64 = range(-(2**63), 2**63)


class WholeNumber(str):
    """An integer as it is written in a file."""

    __slots__ = ()


class BrokenNumber(str):
    """A number with a fraction or an exponent, as it is written in a file."""

    __slots__ = ()


class Misfit(ValueError):
    """A value that its column cannot hold."""


@dataclass
class Shape:
    """What was seen at one place: a column, a field of objects, the items of lists.

    Attributes
    ----------
    kinds : set
        Types of the plain values.
    items : Shape or None
        What the lists hold; None where no list was seen.
    fields : dict of str to Shape
        What the objects hold, in the order in which it was first seen.
    counts : dict of str to int
        How many values were plain, lists and objects.
    """

    kinds: set[Kind] = field(default_factory=set)
    items: "Shape | None" = None
    fields: "dict[str, Shape]" = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"plain": 0, "list": 0, "object": 0})

    def schema(self) -> pa.Schema:
        """Return the types of the fields, as the schema of a table."""
        return pa.schema([(name, shape.type()) for name, shape in self.fields.items()])

    def type(self) -> pa.DataType:
        """Return the one type that holds most of what was seen."""
        there = {"plain": bool(self.kinds), "list": self.items is not None,
                 "object": bool(self.fields)}  # fmt: skip
        able = [make for make in self.counts if there[make]]
        make = max(able, key=self.counts.__getitem__, default="plain")
        if make == "list":
            assert self.items is not None
            return pa.list_(self.items.type())
        if make == "object":
            return pa.struct([(name, shape.type()) for name, shape in self.fields.items()])
        return _joined(self.kinds)

    def forget_counts(self) -> None:
        """Count from 0 again; what kinds of values there are stays known."""
        self.counts = dict.fromkeys(self.counts, 0)
        for shape in (*self.fields.values(), *([self.items] if self.items else [])):
            shape.forget_counts()

    def see(self, piece: Rows | Columns) -> None:
        """Count the values of some rows."""
        if isinstance(piece, Rows):
            for row in piece.values:
                self.see_value(row)
            return
        for name, column in zip(piece.table.column_names, piece.table.columns, strict=True):
            for chunk in column.chunks:
                self._at(name).see_array(chunk)

    def see_value(self, value: object) -> None:
        """Count one value, and what is in it."""
        if value is None:
            return
        if isinstance(value, dict):
            self.counts["object"] += 1
            for name, held in value.items():
                self._at(name).see_value(held)
        elif isinstance(value, list | tuple):
            self.counts["list"] += 1
            self.items = self.items or Shape()
            for held in value:
                self.items.see_value(held)
        else:
            self.counts["plain"] += 1
            self.kinds.add(_kind(value))

    def see_array(self, array: pa.Array) -> None:
        """Count the values of an Arrow array, and what is in them."""
        there = len(array) - array.null_count
        if pa.types.is_null(array.type):
            return
        if pa.types.is_struct(array.type):
            self.counts["object"] += there
            for index, name in enumerate(array.type.names):
                self._at(name).see_array(pc.struct_field(array, index))
        elif _is_list(array.type):
            self.counts["list"] += there
            self.items = self.items or Shape()
            self.items.see_array(array.flatten())
        else:
            self.counts["plain"] += there
            self.kinds.add(_plain(array.type))

    def _at(self, name: str) -> "Shape":
        shape = self.fields.get(name)
        if shape is None:
            shape = self.fields[name] = Shape()
        return shape


def conformed(piece: Rows | Columns, schema: pa.Schema) -> tuple[pa.Table, list[Unreadable]]:
    """Return the rows of a piece that fit a schema, and those that do not.

    Columns that the piece lacks are null; columns that the schema lacks are left out.
    """
    if isinstance(piece, Columns):
        try:
            return _cast(piece.table, schema), []
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            piece = Rows(list(piece.lines), piece.table.to_pylist())
    kept: list[dict[str, Any]] = []
    misfits: list[Unreadable] = []
    fitters = [(column.name, fitter(column.type, column.name)) for column in schema]
    for number, row in enumerate(piece.values):
        try:
            fitting = {name: fit(row.get(name)) for name, fit in fitters}
            if piece.raws is None:  # no parser has looked at these values
                pa.Table.from_pylist([fitting], schema=schema)
            kept.append(fitting)
        except (Misfit, pa.ArrowException, OverflowError, UnicodeError) as misfit:
            raw = shown(piece.raws[number] if piece.raws else repr(row))
            misfits.append(Unreadable(piece.lines[number], _reason(misfit), raw))
    return pa.Table.from_pylist(kept, schema=schema), misfits


def fitter(type: pa.DataType, place: str) -> Fitter:
    """Return what makes a value one that Arrow takes for `type`.

    It raises Misfit where a value is of another make; the text says what was found where.

    Examples
    --------
    >>> as_text = fitter(pa.large_string(), "answer")
    >>> as_text(WholeNumber("007"))
    '007'
    >>> as_text({"a": 1})
    Traceback (most recent call last):
    tamis.data.shapes.Misfit: an object where text is expected in 'answer'
    """
    if pa.types.is_null(type):
        return lambda value: None
    if pa.types.is_struct(type):
        return _object_fitter(type, place)
    if _is_list(type):
        return _list_fitter(type, place)
    return _plain_fitter(type, place)


def _object_fitter(type: pa.StructType, place: str) -> Fitter:
    fitters = [(held.name, fitter(held.type, f"{place}.{held.name}")) for held in type]

    def fitted(value: object) -> object:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise Misfit(f"{_make(value)} where an object is expected in '{place}'")
        return {name: fit(value.get(name)) for name, fit in fitters}

    return fitted


def _list_fitter(type: pa.ListType, place: str) -> Fitter:
    fit = fitter(type.value_type, f"{place}[]")

    def fitted(value: object) -> object:
        if value is None:
            return None
        if not isinstance(value, list | tuple):
            raise Misfit(f"{_make(value)} where a list is expected in '{place}'")
        return [fit(held) for held in value]

    return fitted


def _plain_fitter(type: pa.DataType, place: str) -> Fitter:
    is_text = type == TEXT
    number = int if pa.types.is_integer(type) else float

    def fitted(value: object) -> object:
        if isinstance(value, dict | list | tuple):
            expected = "text" if is_text else "a plain value"
            raise Misfit(f"{_make(value)} where {expected} is expected in '{place}'")
        if value is None:
            return None
        if is_text:
            return value if isinstance(value, str) else _text(value, place)
        return number(value) if isinstance(value, WholeNumber | BrokenNumber) else value

    return fitted


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    there = set(table.column_names)
    return pa.table(
        [
            table[f.name].cast(f.type) if f.name in there else pa.nulls(table.num_rows, f.type)
            for f in schema
        ],
        schema=schema,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return HALF_PAIR
    return str(error).split("\n")[0]


def _text(value: object, place: str) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Misfit(f"bytes that are not UTF-8 in '{place}'") from None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _kind(value: object) -> Kind:
    if type(value) is str:
        return TEXT
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, WholeNumber | int):
        return pa.int64() if int(value) in _INT64 else _BEYOND
    if isinstance(value, BrokenNumber | float):
        return pa.float64()
    if isinstance(value, str):
        return TEXT
    try:
        return _plain(pa.scalar(value).type)
    except pa.ArrowException:
        return TEXT  # an object of Python's that Arrow does not know


def _plain(type: pa.DataType) -> pa.DataType:
    """Return the type that a pool holds plain values of `type` as."""
    if pa.types.is_dictionary(type):
        return _plain(type.value_type)
    if pa.types.is_string(type) or pa.types.is_string_view(type):
        return TEXT
    if isinstance(type, pa.BaseExtensionType):
        return type.storage_type
    return type


def _joined(kinds: Iterable[Kind]) -> pa.DataType:
    """Return the type of plain values of several kinds."""
    several = set(kinds)
    if not several:
        return pa.null()
    if len(several) == 1:
        only = several.pop()
        return TEXT if isinstance(only, str) else only
    numbers = [k for k in several if not isinstance(k, str) and not pa.types.is_decimal(k)]
    if len(numbers) + (_BEYOND in several) == len(several) and all(
        pa.types.is_integer(k) or pa.types.is_floating(k) for k in numbers
    ):
        if any(pa.types.is_floating(k) for k in numbers):
            return pa.float64()
        if _BEYOND not in several and pa.uint64() not in several:
            return pa.int64()
    return TEXT


def _is_list(type: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(kind(type) for kind in kinds)


def _make(value: object) -> str:
    """Say what a value is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str) and not isinstance(value, WholeNumber | BrokenNumber):
        return "text"
    return "a number"
