"""The numbers of a report: rows by reason, distributions, and the mix of sources."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.data import formats
from tamis.data.batches import map_batches
from tamis.report.view import RunView
from tamis.selectors.selection import KEPT, Selection

__all__ = [
    "Count",
    "Group",
    "Mix",
    "RowFacts",
    "Shape",
    "Trace",
    "length_shape",
    "reason_counts",
    "reason_kinds",
    "row_facts",
    "score_shape",
    "source_mix",
    "source_texts",
    "traces",
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
class Group:
    """How a number is spread over the kept, or over the dropped, rows of a step.

    Attributes
    ----------
    shares : float64 array of shape (bins,)
        Percent of the rows in each bin.
    rows, beyond : int
        Rows with a finite number, and how many of them lie in no bin.
    median : float
    """

    shares: Floats
    rows: int
    beyond: int
    median: float


@dataclass(frozen=True)
class Shape:
    """How a number is spread over the kept and over the dropped rows, in the same bins.

    The bins, between `edges`, reach over the kept rows, and far enough to either side to
    tell how the dropped ones lie to them.
    """

    edges: Floats
    kept: Group
    dropped: Group


@dataclass(frozen=True)
class Trace:
    """How a number moved while a method worked: what it was before each step, and at the end."""

    name: str
    values: Floats


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
    """Return how many rows were dropped for each kind of reason, as `reason_kinds` does."""
    dropped = selection.tally.filter(pc.field("reason") != KEPT)
    return _kinds(dropped, most)


def reason_kinds(reasons: pa.Array | pa.ChunkedArray, most: int) -> list[Count]:
    """Return how often each kind of reason is there, most frequent first.

    Ids within a reason do not make it another kind ('near-duplicate of 1a2b…'); nor do
    numbers, where there would be too many kinds. At most `most` kinds come back; the last
    then sums up the rest.
    """
    found = pa.table({"reason": reasons}).group_by("reason").aggregate([([], "count_all")])
    return _kinds(found.rename_columns(["reason", "rows"]), most)


def _kinds(kinds: pa.Table, most: int) -> list[Count]:
    for pattern in (_IDS, _NUMBERS):
        if pattern == _IDS or len(kinds) > most:
            merged = pc.replace_substring_regex(kinds["reason"], pattern=pattern, replacement="…")
            kinds = kinds.set_column(kinds.schema.get_field_index("reason"), "reason", merged)
            kinds = kinds.group_by("reason").aggregate([("rows", "sum")])
            kinds = kinds.rename_columns(["reason", "rows"])
    kinds = kinds.sort_by([("rows", "descending"), ("reason", "ascending")])
    names, counts = kinds["reason"].to_pylist(), kinds["rows"].to_pylist()
    if len(names) <= most:
        return [Count(*kind) for kind in zip(names, counts, strict=True)]
    shown = [Count(*kind) for kind in zip(names[: most - 1], counts, strict=False)]
    rest = f"{len(names) - len(shown)} other kinds of reason"
    return [*shown, Count(rest, sum(counts[most - 1 :]))]


def score_shape(selection: Selection) -> Shape | None:
    """Return how the scores of a step are spread; None where there is nothing to compare.

    That is where all rows were kept or all dropped, have no score, or all the same one.
    """
    able = np.isfinite(selection.scores)
    kept = selection.scores[able & selection.kept]
    dropped = selection.scores[able & ~selection.kept]
    return _shape(kept, dropped)


def length_shape(lengths: npt.NDArray[np.int64], kept: npt.NDArray[np.bool_]) -> Shape | None:
    """Return how the lengths of a step's rows are spread, in decimal logarithms of characters.

    An empty row counts as one of one character. The medians are in characters.
    """
    groups = [lengths[rows].astype(np.float64) for rows in (kept, ~kept)]
    if not all(map(len, groups)):
        return None
    medians = [float(np.median(group, overwrite_input=True)) for group in groups]
    for group in groups:  # in its place: there may be as many as fit into memory
        np.log10(np.maximum(group, 1, out=group), out=group)
    shape = _shape(*groups)
    if shape is None:
        return None
    return replace(
        shape,
        kept=replace(shape.kept, median=medians[0]),
        dropped=replace(shape.dropped, median=medians[1]),
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


def traces(selection: Selection, most: int) -> list[Trace]:
    """Return what the method traced, the highest at the end first, and at most `most`."""
    found = [
        Trace(name, np.asarray(selection.traces[name], float))
        for name in selection.traces.column_names
        if len(selection.traces)
    ]
    return sorted(found, key=lambda trace: (-trace.values[-1], trace.name))[:most]


def _batch_facts(batch: pa.Table) -> tuple[npt.NDArray[np.int64], pa.DictionaryArray]:
    return _lengths(batch), source_texts(batch).dictionary_encode()


def _lengths(batch: pa.Table) -> npt.NDArray[np.int64]:
    """Return the characters of each row's text; it is not put together to be counted."""
    if formats.of(batch).name == "text":
        return np.asarray(pc.utf8_length(formats.fields(batch).text), np.int64)
    asked, said = (np.asarray(pc.utf8_length(part), np.int64) for part in formats.exchange(batch))
    return asked + said + ((asked > 0) & (said > 0))


def _shape(kept: Floats, dropped: Floats) -> Shape | None:
    """Return the shape of two groups, whose numbers come out of order: they are large."""
    if not (len(kept) and len(dropped)):
        return None
    low, high = _window(kept, dropped)
    bins = int(np.clip(np.sqrt(len(kept) + len(dropped)), 8, 48))
    edges: Floats = np.linspace(low, high, bins + 1)
    if not (np.diff(edges) > 0).all():
        return None
    return Shape(edges, _group(kept, edges), _group(dropped, edges))


def _window(kept: Floats, dropped: Floats) -> tuple[float, float]:
    """Return from where to where to draw.

    Half a percent of either group may lie beyond either end. Of dropped rows far from the kept
    more may: what is drawn ends three times the width of the kept from them, unless the
    nearest quarter of the dropped begins farther off.
    """
    kept_low, kept_high = np.quantile(kept, [0.005, 0.995], overwrite_input=True)
    quarters = np.quantile(dropped, [0.005, 0.25, 0.75, 0.995], overwrite_input=True)
    low, near, far, high = quarters
    low, high = min(low, kept_low), max(high, kept_high)
    if low == high:
        return min(kept.min(), dropped.min()), max(kept.max(), dropped.max())
    reach = 3 * (kept_high - kept_low)
    return max(low, min(kept_low - reach, far)), min(high, max(kept_high + reach, near))


def _group(values: Floats, edges: Floats) -> Group:
    ends = float(edges[0]), float(edges[-1])
    counts, _ = np.histogram(values, bins=len(edges) - 1, range=ends)
    return Group(
        shares=100.0 * counts / len(values),
        rows=len(values),
        beyond=len(values) - int(counts.sum()),
        median=float(np.median(values, overwrite_input=True)),
    )
