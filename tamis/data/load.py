"""Reading a pool: any file or object in, a memory-mapped Dataset out."""

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
from datasets import Dataset

from tamis.data import formats
from tamis.data.files import home, written_aside
from tamis.errors import DataError

__all__ = ["Source", "load", "rejected"]

Source = str | Path | Dataset | pa.Table | pd.DataFrame | list[dict[str, Any]]


def load(
    source: Source,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    strict: bool = False,
    progress: bool = True,
) -> Dataset:
    """Read a pool."""
    pool = source if isinstance(source, Dataset) else _opened(_table(source))
    changes = formats.renamed(pool.column_names, format, columns)
    return pool.rename_columns(changes) if changes else pool


def rejected(pool: Dataset) -> Dataset:
    """Return the rows that were set aside when `pool` was read."""
    return Dataset(pa.table({"file": [], "line": [], "reason": [], "raw": []}))


def _table(source: Source) -> pa.Table:
    if isinstance(source, pa.Table):
        return source
    if isinstance(source, pd.DataFrame):
        return pa.Table.from_pandas(source, preserve_index=False)
    if isinstance(source, list):
        return pa.Table.from_pylist(source)
    path = Path(source)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.suffix == ".parquet":
        return pq.read_table(path)
    return pyarrow.json.read_json(pa.input_stream(str(path), compression="detect"))


def _opened(table: pa.Table) -> Dataset:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    content = sink.getvalue()
    path = home() / "pools" / blake2b(content, digest_size=16).hexdigest() / "pool.arrow"
    if not path.exists():
        with written_aside(path) as aside:
            aside.write_bytes(content)
    return Dataset.from_file(str(path))
