"""What a method decided: a score and a reason for every row of the pool, kept or not."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset

from tamis.data.batches import table_of
from tamis.data.files import written_aside
from tamis.data.ids import id_texts, ids_of
from tamis.data.scratch import roomy
from tamis.data.streams import ahead
from tamis.errors import DataError
from tamis.kernels.ordering import blocks

__all__ = ["KEPT", "Selection", "one_reason", "said_by", "say_kept", "shared"]

KEPT = "kept"

_ADDED = ("tamis_id", "tamis_score", "tamis_rank", "tamis_method")
_ROWS, _KEPT_ROWS = 2**16, 2**14


@dataclass(frozen=True, eq=False)
class Selection:
    """Which rows of a pool are kept, and why each of the others is not.

    Attributes
    ----------
    indices : int64 array of shape (k,)
        Positions in the pool of the kept rows, best first.
    scores : float64 array of shape (n,)
        The method's score of every row; NaN where it gave none.
    reasons : str array of shape (n,)
        'kept', or why not.
    signals : pyarrow.Table of n rows
        Every number behind the score, by name; null where there is none.
    ids : V16 array of shape (n,)
        Example ids, in the pool's order.
    method : str
        Name of the method that chose.
    seconds : float
        How long choosing took, on the wall; NaN where it was not measured.
    traces : pyarrow.Table
        What moved while the method worked, a column each, a row a step: the weights of
        DoReMi's domains. Most methods leave none.
    """

    indices: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    reasons: npt.NDArray[np.object_]
    signals: pa.Table
    ids: npt.NDArray[np.void] = field(default_factory=lambda: np.empty(0, "V16"))
    method: str = ""
    seconds: float = math.nan
    traces: pa.Table = field(default_factory=lambda: pa.table({}))

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", np.asarray(self.indices, np.int64))
        object.__setattr__(self, "scores", np.asarray(self.scores, np.float64))
        object.__setattr__(self, "reasons", np.asarray(self.reasons, object))
        object.__setattr__(self, "signals", _without_nan(self.signals))

    def __len__(self) -> int:
        """Return the number of kept rows."""
        return len(self.indices)

    @cached_property
    def kept(self) -> npt.NDArray[np.bool_]:
        """For every row of the pool, whether it is kept."""
        kept = np.zeros(len(self.scores), bool)
        kept[self.indices] = True
        return kept

    @cached_property
    def ranks(self) -> npt.NDArray[np.int64]:
        """For every row of the pool its place among the kept, 1 for the best; 0 if dropped."""
        ranks = roomy((len(self.scores),), np.int64)
        for rows in blocks(len(self.indices)):
            ranks[self.indices[rows]] = np.arange(rows.start + 1, rows.stop + 1)
        return ranks

    def apply(self, pool: Dataset) -> Dataset:
        """Return the kept rows of `pool`, best first, with id, score, rank and method beside them.

        Raises
        ------
        DataError
            If `pool` is not the one that was chosen from.
        """
        if len(pool) != len(self.scores):
            raise DataError(
                f"Selection.apply: the pool has {len(pool)} rows, but the selection was made "
                f"on {len(self.scores)}; give the pool that was selected from"
            )
        return Dataset(pa.concat_tables(self.kept_rows(pool)))

    def kept_rows(self, pool: Dataset) -> Iterator[pa.Table]:
        """Yield what `apply` returns, some rows at a time: the kept may not fit in memory."""
        own = [name for name in pool.column_names if name not in _ADDED]
        rows = pool.select_columns(own)
        for start in range(0, max(len(self), 1), _KEPT_ROWS):
            indices = self.indices[start : start + _KEPT_ROWS]
            table = table_of(rows, indices)
            added = (
                id_texts(self.ids[indices]),
                pa.array(self.scores[indices]),
                pa.array(np.arange(start + 1, start + len(indices) + 1)),
                pa.array([self.method] * len(indices), pa.string()),
            )
            for name, column in zip(_ADDED, added, strict=True):
                table = table.append_column(name, column)
            yield table

    def to_arrow(self) -> pa.Table:
        """Return one row per row of the pool: position, id, kept, rank, score, reason, signals."""
        return pa.concat_tables(self._tables()).unify_dictionaries()

    def _tables(self) -> Iterator[pa.Table]:
        """Yield what `to_arrow` returns, some rows at a time."""
        facts = {"tamis": json.dumps(self._facts())}
        for start in range(0, max(len(self.scores), 1), _ROWS):
            scores = self.scores[start : start + _ROWS]
            rows = slice(start, start + len(scores))
            signals = self.signals.slice(start, len(scores))
            table = pa.table(
                {
                    "position": pa.array(np.arange(rows.start, rows.stop)),
                    "example_id": id_texts(self.ids[rows]),
                    "kept": pa.array(self.kept[rows]),
                    "rank": pa.array(self.ranks[rows], mask=~self.kept[rows]),
                    "score": pa.array(scores, mask=np.isnan(scores)),
                    "reason": pa.array(self.reasons[rows], pa.string()).dictionary_encode(),
                    "signals": signals.to_struct_array()
                    if signals.num_columns
                    else pa.nulls(len(scores)),
                }
            )
            yield table.replace_schema_metadata(facts)

    def _facts(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "seconds": self.seconds,
            "kept": len(self),
            "traces": self.traces.to_pydict(),
        }

    def save(self, path: str | Path) -> Path:
        """Write the selection as Parquet, one row per row of the pool; return the path.

        Ids are not packed: half the digits of a digest would be all that is gained.
        """
        with written_aside(Path(path)) as aside:
            tables = self._tables()
            first = next(tables)
            leaves = dict(_leaves(first.schema))
            integers = (name for name, type in leaves.items() if pa.types.is_integer(type))
            useful = [name for name in leaves if name != "example_id"]  # a least digest is not
            with pq.ParquetWriter(
                aside,
                first.schema,
                compression=dict.fromkeys(leaves, "zstd") | {"example_id": "none"},
                use_dictionary=["reason"],
                write_statistics=useful,
                column_encoding=dict.fromkeys(integers, "DELTA_BINARY_PACKED"),
            ) as writer:
                for table in ahead(chain([first], tables)):
                    writer.write_table(table)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, *, signals: bool = True) -> Self:
        """Read what `save` wrote; without its signals, which are most of it, on request."""
        file = pq.ParquetFile(path, pre_buffer=False)  # or all of it is held at once
        n, facts = file.metadata.num_rows, json.loads(file.schema_arrow.metadata[b"tamis"])
        ids, scores = roomy((n,), "V16"), roomy((n,), np.float64)
        indices = roomy((facts["kept"],), np.int64)
        reasons, tallies = np.empty(n, object), []
        start = 0
        for batch in file.iter_batches(_ROWS, columns=["example_id", "rank", "score", "reason"]):
            rows = slice(start, start + batch.num_rows)
            ids[rows] = ids_of(batch["example_id"])
            scores[rows] = batch["score"].to_numpy(zero_copy_only=False)
            ranks = batch["rank"].fill_null(0).to_numpy()
            kept = np.flatnonzero(ranks)
            indices[ranks[kept] - 1] = start + kept
            said, codes = batch["reason"].dictionary, batch["reason"].indices.to_numpy()
            reasons[rows] = np.array(said.to_pylist(), object)[codes]
            tallies.append(_tally(said, np.bincount(codes, minlength=len(said))))
            start = rows.stop
        loaded = cls(
            indices=indices,
            scores=scores,
            reasons=reasons,
            signals=_signals_in(file) if signals else pa.table({}),
            ids=ids,
            method=facts["method"],
            seconds=facts["seconds"],
            traces=pa.table(facts.get("traces", {})),
        )
        loaded.__dict__["tally"] = _summed(tallies)  # here it costs next to nothing
        return loaded

    def counts(self) -> dict[str, int]:
        """Return how many rows have each reason, most frequent first."""
        return _most_frequent_first(self.tally)

    @cached_property
    def tally(self) -> pa.Table:
        """How many rows (column 'rows') have each reason ('reason'), in no order."""
        parts = (pa.array(self.reasons[rows], pa.string()) for rows in blocks(len(self.reasons)))
        return _counted(parts)

    @staticmethod
    def counts_in(path: str | Path) -> dict[str, int]:
        """Return the `counts` of what `save` wrote; nothing but reasons is read."""
        file = pq.ParquetFile(path, pre_buffer=False)
        batches = file.iter_batches(_ROWS, columns=["reason"])
        parts = (batch["reason"].dictionary_decode() for batch in batches)
        return _most_frequent_first(_counted(parts))

    def __repr__(self) -> str:
        return f"<Selection by {self.method}: {len(self)} of {len(self.scores)} kept>"


def one_reason(n: int, reason: str) -> npt.NDArray[np.object_]:
    """Return the same reason for `n` rows: one text, where `np.full` would make one a row."""
    reasons = np.empty(n, object)
    reasons.fill(reason)
    return reasons


def said_by(says: Callable[[slice], Iterable[str]], n: int) -> npt.NDArray[np.object_]:
    """Return the reasons of `n` rows as `says` gives them, some rows at a time."""
    reasons, known = np.empty(n, object), dict[str, str]()
    for rows in blocks(n):
        reasons[rows] = shared(says(rows), known)
    return reasons


def say_kept(reasons: npt.NDArray[np.object_], indices: npt.NDArray[np.int64]) -> None:
    """Write that rows are kept; from front to back, in pieces, as texts lie far from each other."""
    kept = np.zeros(len(reasons), bool)
    kept[indices] = True
    for rows in blocks(len(reasons)):
        reasons[rows][kept[rows]] = KEPT


def shared(texts: Iterable[str], known: dict[str, str] | None = None) -> list[str]:
    """Return texts, equal ones as one object: a hundred bytes each, they are most of the memory.

    `known` are those that came before, and gets these.

    >>> first, second = shared(f"rating {figure:.1f}" for figure in (3.14, 3.12))
    >>> first is second
    True
    """
    known = {} if known is None else known
    return [known.setdefault(text, text) for text in texts]


def _tally(reasons: pa.StringArray, rows: pa.Array | npt.NDArray[np.int64]) -> pa.Table:
    return pa.table({"reason": reasons, "rows": rows})


def _counted(parts: Iterable[pa.StringArray]) -> pa.Table:
    return _summed(_tally(*part.value_counts().flatten()) for part in parts)


def _summed(tallies: Iterable[pa.Table]) -> pa.Table:
    """Add up how often each reason is there."""
    whole = pa.concat_tables([_tally(pa.array([], pa.string()), np.empty(0, np.int64)), *tallies])
    return whole.group_by("reason").aggregate([("rows", "sum")]).rename_columns(["reason", "rows"])


def _most_frequent_first(tally: pa.Table) -> dict[str, int]:
    by = tally.sort_by([("rows", "descending"), ("reason", "ascending")])
    return dict(zip(by["reason"].to_pylist(), by["rows"].to_pylist(), strict=True))


def _leaves(fields: Iterable[pa.Field], within: str = "") -> Iterator[tuple[str, pa.DataType]]:
    """Yield path and type of each column that Parquet has, those within others too."""
    for column in fields:
        if pa.types.is_struct(column.type):
            yield from _leaves(column.type, f"{within}{column.name}.")
        else:
            yield f"{within}{column.name}", column.type


def _signals_in(file: pq.ParquetFile) -> pa.Table:
    signals = file.read(columns=["signals"])["signals"].combine_chunks()
    is_struct = pa.types.is_struct(signals.type)
    return pa.Table.from_struct_array(signals) if is_struct else pa.table({})


def _without_nan(signals: pa.Table) -> pa.Table:
    """Make NaN null: DuckDB trusts statistics of Parquet files, which leave NaN out."""
    columns = {
        name: pa.chunked_array([_null_where_nan(chunk) for chunk in column.chunks], column.type)
        if pa.types.is_floating(column.type)
        else column
        for name, column in zip(signals.column_names, signals.columns, strict=True)
    }
    return pa.table(columns)


def _null_where_nan(chunk: pa.Array) -> pa.Array:
    nan = pc.fill_null(pc.is_nan(chunk), False)
    if not nan.true_count:
        return chunk
    if chunk.null_count:
        return pc.if_else(nan, pa.scalar(None, chunk.type), chunk)
    values = chunk.to_numpy()  # no copy: it may lie in a file
    return pa.array(values, chunk.type, mask=np.asarray(nan))
