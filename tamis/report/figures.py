"""The numbers of a report: rows by reason, distributions, and the mix of sources."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.data import formats
from tamis.data.batches import map_batches
from tamis.report.view import RunView
from tamis.selectors.selection import Selection

__all__ = [
    "Count",
    "Mix",
    "RowFacts",
    "Shape",
    "length_shape",
    "reason_counts",
    "row_facts",
    "score_shape",
    "source_mix",
    "source_texts",
]

Floats = npt.NDArray[np.float64]

_IDS = r"\b[0-9a-f]{4,32}…|\b[0-9a-f]{12,32}\b"
_NUMBERS = r"[0-9]+(\.[0-9]+)?"


@dataclass(frozen=True)
class Count:
    """How many rows something is true of."""

    name: str
    rows: int


@dataclass(frozen=True)
class Mix:
    """How many rows of one source came in, and how many were kept."""

    source: str
    pool: int
    kept: int


@dataclass(frozen=True)
class RowFacts:
    """What is measured once for every row of the pool.

    Attributes
    ----------
    lengths : int64 array of shape (n,)
        Characters of the text that a scorer reads.
    sources : dictionary array of length n
        Where each row comes from.
    """

    lengths: npt.NDArray[np.int64]
    sources: pa.DictionaryArray


@dataclass(frozen=True)
class Shape:
    """How a number is spread over the kept and over the dropped rows, in the same bins.

    Attributes
    ----------
    edges : float64 array of shape (bins + 1,)
    kept, dropped : float64 array of shape (bins,)
        Share of the group's rows in each bin, in percent; the outer bins take what lies
        beyond them.
    kept_rows, dropped_rows : int
        Rows with a finite number.
    kept_median, dropped_median : float
        NaN for a group without rows.
    beyond : int
        Rows beyond the outer edges.
    """

    edges: Floats
    kept: Floats
    dropped: Floats
    kept_rows: int
    dropped_rows: int
    kept_median: float
    dropped_median: float
    beyond: int


def row_facts(pool: Dataset) -> RowFacts:
    """Measure every row of the pool in one pass, in batches; no text is held."""
    lengths, sources = [np.empty(0, np.int64)], [pa.array([], pa.string()).dictionary_encode()]
    for batch_lengths, batch_sources in map_batches(pool, _batch_facts, label="report: measure"):
        lengths.append(batch_lengths)
        sources.append(batch_sources)
    return RowFacts(
        np.concatenate(lengths), pa.chunked_array(sources).unify_dictionaries().combine_chunks()
    )


def source_texts(batch: pa.Table) -> pa.StringArray:
    """Return where each row of a batch is from; '' where its columns do not say."""
    sources = formats.sources(batch)
    return pa.array([""] * batch.num_rows) if sources is None else sources.cast(pa.string())


def reason_counts(selection: Selection, most: int) -> list[Count]:
    """Return how many rows were dropped for each kind of reason, most frequent first.

    Ids within a reason do not make it another kind ('near-duplicate of 1a2b…'); nor do
    numbers, where there would be too many kinds. At most `most` kinds come back; the last
    then sums up the rest.
    """
    dropped = pa.array(selection.reasons[~selection.kept], pa.string())
    kinds = pa.table({"reason": dropped}).group_by("reason").aggregate([([], "count_all")])
    for pattern in (_IDS, _NUMBERS):
        if pattern == _IDS or len(kinds) > most:
            merged = pc.replace_substring_regex(kinds["reason"], pattern=pattern, replacement="…")
            kinds = kinds.set_column(kinds.schema.get_field_index("reason"), "reason", merged)
            kinds = kinds.group_by("reason").aggregate([("count_all", "sum")])
            kinds = kinds.rename_columns({"count_all_sum": "count_all"})
    kinds = kinds.sort_by([("count_all", "descending"), ("reason", "ascending")])
    names, counts = kinds["reason"].to_pylist(), kinds["count_all"].to_pylist()
    if len(names) <= most:
        return [Count(*kind) for kind in zip(names, counts, strict=True)]
    shown = [Count(*kind) for kind in zip(names[: most - 1], counts, strict=False)]
    rest = f"{len(names) - len(shown)} other kinds of reason"
    return [*shown, Count(rest, sum(counts[most - 1 :]))]


def score_shape(selection: Selection) -> Shape | None:
    """Return how the scores of a step are spread; None where there is nothing to show.

    Nothing is shown of a step whose rows have no score, or all the same one.
    """
    able = np.isfinite(selection.scores)
    kept = selection.scores[able & selection.kept]
    dropped = selection.scores[able & ~selection.kept]
    return _shape(kept, dropped)


def length_shape(lengths: npt.NDArray[np.int64], kept: npt.NDArray[np.bool_]) -> Shape | None:
    """Return how the lengths of a step's rows are spread, in decimal logarithms of characters.

    An empty row counts as one of one character. The medians are in characters.
    """
    logs = np.log10(np.maximum(lengths, 1))
    shape = _shape(logs[kept], logs[~kept])
    if shape is None:
        return None
    return replace(
        shape, kept_median=_median(lengths[kept]), dropped_median=_median(lengths[~kept])
    )


def source_mix(view: RunView, facts: RowFacts, most: int) -> list[Mix]:
    """Return the rows of each source before and after, the largest first.

    At most `most` come back; the last then sums up the rest.
    """
    names = facts.sources.dictionary.to_pylist()
    codes = facts.sources.indices.to_numpy()
    before = np.bincount(codes, minlength=len(names))
    after = np.bincount(codes[view.kept], minlength=len(names))
    order = np.argsort(-before, kind="stable")
    mixes = [Mix(names[i], int(before[i]), int(after[i])) for i in order[:most]]
    if len(names) > most:
        rest = order[most - 1 :]
        total = Mix(f"{len(rest)} other sources", int(before[rest].sum()), int(after[rest].sum()))
        mixes[-1] = total
    return mixes


def _batch_facts(batch: pa.Table) -> tuple[npt.NDArray[np.int64], pa.DictionaryArray]:
    lengths = pc.utf8_length(formats.fields(batch).text).to_numpy().astype(np.int64)
    return lengths, source_texts(batch).dictionary_encode()


def _shape(kept: Floats, dropped: Floats) -> Shape | None:
    edges = _edges([group for group in (kept, dropped) if len(group)])
    if edges is None:
        return None
    return Shape(
        edges=edges,
        kept=_shares(kept, edges),
        dropped=_shares(dropped, edges),
        kept_rows=len(kept),
        dropped_rows=len(dropped),
        kept_median=_median(kept),
        dropped_median=_median(dropped),
        beyond=sum(int(((g < edges[0]) | (g > edges[-1])).sum()) for g in (kept, dropped)),
    )


def _edges(groups: Sequence[Floats]) -> Floats | None:
    """Return bins that show the middle 99 % of each group, or all where that is one point."""
    if not groups:
        return None
    low = min(np.quantile(group, 0.005) for group in groups)
    high = max(np.quantile(group, 0.995) for group in groups)
    if low == high:
        low, high = min(map(np.min, groups)), max(map(np.max, groups))
    bins = int(np.clip(np.sqrt(sum(map(len, groups))), 8, 48))
    edges: Floats = np.linspace(low, high, bins + 1)
    return edges if (np.diff(edges) > 0).all() else None


def _shares(values: Floats, edges: Floats) -> Floats:
    counts, _ = np.histogram(
        np.clip(values, edges[0], edges[-1]), bins=len(edges) - 1, range=(edges[0], edges[-1])
    )
    return 100.0 * counts / max(len(values), 1)


def _median(values: Floats | npt.NDArray[np.int64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
