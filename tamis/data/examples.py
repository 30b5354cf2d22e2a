"""The rows of a pool as the catalogue reads them: `pools/<pool>/examples.parquet`.

Columns are example_id, source (null where the pool has none), prompt, response and text. The
text is null where it is what prompt and response make together, as it is in any pool but
plain text: said once, a row takes half the space and half the time.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset

from tamis.data import formats
from tamis.data.batches import map_batches
from tamis.data.files import laid_down, written_aside
from tamis.data.ids import example_ids, id_texts
from tamis.data.save import row_groups

__all__ = ["TEXT", "whole", "write_examples"]

TEXT = """CASE
    WHEN text IS NOT NULL THEN text
    WHEN prompt = '' THEN response
    WHEN response = '' THEN prompt
    ELSE prompt || chr(10) || response END"""
"""The text of a row, in SQL."""

_STRING = pa.large_string()
_SCHEMA = pa.schema(
    [
        ("example_id", pa.string()),
        *((name, _STRING) for name in ("source", "prompt", "response", "text")),
    ]
)


def write_examples(pool: Dataset, path: Path) -> None:
    """Write the rows of a pool, in its order. Memory does not grow with the pool."""
    with (
        written_aside(path) as aside,
        pq.ParquetWriter(
            aside,
            _SCHEMA,
            compression="none",  # LZ4 takes two seconds a gigabyte for a quarter less
            use_dictionary=["source"],
            write_statistics=False,  # the least of texts, or of digests, helps no query
        ) as writer,
        laid_down(aside) as wrote,
    ):
        for group in row_groups(_tables(pool)):
            writer.write_table(group)
            wrote(group.nbytes)


def _tables(pool: Dataset) -> Iterator[pa.Table]:
    ids = example_ids(pool)
    start = 0
    for columns in map_batches(pool, _columns, label="examples"):
        end = start + len(columns[0])
        yield pa.table([id_texts(ids[start:end]), *columns], schema=_SCHEMA)
        start = end


def whole(rows: pa.Table) -> pa.Table:
    """Return rows of such a file with the text of each."""
    given, said = rows["text"], formats.lines(rows["prompt"], rows["response"])
    return rows.set_column(rows.column_names.index("text"), "text", pc.coalesce(given, said))


def _columns(batch: pa.Table) -> list[pa.Array]:
    """Return source, prompt, response and text."""
    sources, nothing = formats.sources(batch), pa.nulls(batch.num_rows, _STRING)
    given = nothing if sources is None else sources
    if formats.of(batch).name == "text":
        return [given, *formats.fields(batch)]
    return [given, *formats.exchange(batch), nothing]
