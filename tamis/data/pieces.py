"""What the readers of files give, piece by piece: rows, columns, or what could not be read."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

__all__ = ["RAW", "Columns", "Piece", "Rows", "Unreadable", "shown"]

RAW = 1000
"""Characters kept of a row that is set aside."""


class Unreadable(NamedTuple):
    """A row, or the rest of a file, that is set aside.

    Attributes
    ----------
    line : int or None
        Where it starts, from 1; None where the file as a whole cannot be read.
    reason : str
    raw : str
        Its first characters.
    """

    line: int | None
    reason: str
    raw: str


class Rows(NamedTuple):
    """Rows as objects; numbers are `Written`, as they stand in the file.

    Attributes
    ----------
    lines : list of int
    values : list of dict
    raws : list of bytes or str, or None where a row has no text of its own
    """

    lines: list[int]
    values: list[dict[str, Any]]
    raws: list[bytes | str] | None = None

    def add(self, line: int, value: dict[str, Any], raw: bytes | str) -> None:
        """Append a row that has a text of its own."""
        assert self.raws is not None
        self.lines.append(line)
        self.values.append(value)
        self.raws.append(raw)


class Columns(NamedTuple):
    """Rows as an Arrow table, with the types that the file gives them."""

    lines: Sequence[int]
    table: pa.Table


Piece = Unreadable | Rows | Columns


def shown(raw: bytes | str) -> str:
    """Return the first characters of a row, whatever its bytes."""
    if isinstance(raw, bytes):
        return raw[: 4 * RAW].decode(errors="replace").rstrip("\r\n")[:RAW]
    return raw[:RAW].encode(errors="replace").decode()
