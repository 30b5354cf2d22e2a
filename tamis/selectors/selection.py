"""What a method decided: a score and a reason for every row of the pool, kept or not."""

import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset

from tamis.data.files import written_aside
from tamis.data.ids import id_texts, ids_of
from tamis.errors import DataError

__all__ = ["KEPT", "Selection"]

KEPT = "kept"


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
        ranks = np.zeros(len(self.scores), np.int64)
        ranks[self.indices] = np.arange(1, len(self.indices) + 1)
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
        kept = pool.select(self.indices)
        ours = {
            "tamis_id": id_texts(self.ids[self.indices]),
            "tamis_score": pa.array(self.scores[self.indices]),
            "tamis_rank": pa.array(self.ranks[self.indices]),
            "tamis_method": pa.array([self.method] * len(self)),
        }
        rows = kept.remove_columns([name for name in ours if name in kept.column_names])
        table = rows.with_format("arrow")[:]
        for name, column in ours.items():
            table = table.append_column(name, column)
        return Dataset(table)

    def to_arrow(self) -> pa.Table:
        """Return one row per row of the pool: position, id, kept, rank, score, reason, signals."""
        rows = len(self.scores)
        signals = self.signals.to_struct_array() if self.signals.num_columns else pa.nulls(rows)
        return pa.table(
            {
                "position": pa.array(np.arange(rows)),
                "example_id": id_texts(self.ids),
                "kept": pa.array(self.kept),
                "rank": pa.array(self.ranks, mask=~self.kept),
                "score": pa.array(self.scores, mask=np.isnan(self.scores)),
                "reason": pa.array(self.reasons, pa.string()).dictionary_encode(),
                "signals": signals,
            }
        ).replace_schema_metadata({"tamis": json.dumps(self._facts())})

    def _facts(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "seconds": self.seconds,
            "kept": len(self),
            "traces": self.traces.to_pydict(),
        }

    def save(self, path: str | Path) -> Path:
        """Write the selection as Parquet, one row per row of the pool; return the path."""
        with written_aside(Path(path)) as aside:
            pq.write_table(self.to_arrow(), aside, compression="zstd")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        table = pq.read_table(path)
        facts = json.loads(table.schema.metadata[b"tamis"])
        rank = table["rank"].to_numpy()
        kept = np.flatnonzero(~np.isnan(rank.astype(float)))
        signals = table["signals"].combine_chunks()
        return cls(
            indices=kept[np.argsort(rank[kept])],
            scores=table["score"].to_numpy(),
            reasons=table["reason"].cast(pa.string()).to_numpy(zero_copy_only=False),
            signals=pa.Table.from_struct_array(signals)
            if pa.types.is_struct(signals.type)
            else pa.table({}),
            ids=ids_of(table["example_id"]),
            method=facts["method"],
            seconds=facts["seconds"],
            traces=pa.table(facts.get("traces", {})),
        )

    def counts(self) -> dict[str, int]:
        """Return how many rows have each reason, most frequent first."""
        counted = pa.array(self.reasons, pa.string()).value_counts()
        reasons, counts = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
        return dict(sorted(zip(reasons, counts, strict=True), key=lambda item: (-item[1], item[0])))

    def __repr__(self) -> str:
        return f"<Selection by {self.method}: {len(self)} of {len(self.scores)} kept>"


def _without_nan(signals: pa.Table) -> pa.Table:
    """Make NaN null: DuckDB trusts statistics of Parquet files, which leave NaN out."""
    columns = {
        name: pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        if pa.types.is_floating(column.type)
        else column
        for name, column in zip(signals.column_names, signals.columns, strict=True)
    }
    return pa.table(columns)
