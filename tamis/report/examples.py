"""The rows that a report shows: few, cut to a length, read from the pool on their own."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from markupsafe import Markup

from tamis.data import formats
from tamis.data.ids import id_texts
from tamis.report.figures import source_texts
from tamis.report.view import RunView, StepView
from tamis.report.wording import Cut, shown
from tamis.selectors.pickers import top_k

__all__ = [
    "Example",
    "KeptTable",
    "best_kept",
    "kept_table",
    "near_misses",
    "worst_kept",
]

TEXT_CHARACTERS = 1200
TABLE_ROWS = 2000
TABLE_BYTES = 2_500_000

_BATCH_ROWS = 64


@dataclass(frozen=True)
class Example:
    """One row of the pool, with what a step decided about it.

    Attributes
    ----------
    id : str
        32 hexadecimal digits.
    rank : int
        1 for the best kept row; 0 for a dropped one.
    score : float
        NaN where there is none.
    texts : mapping of str to Cut
        'Prompt' and 'Response', or 'Text' where a row has neither.
    """

    id: str
    rank: int
    score: float
    reason: Cut
    source: Cut
    texts: dict[str, Cut]


@dataclass(frozen=True)
class KeptTable:
    """The kept rows that the page can search, as JSON that is safe inside a script element."""

    rows: int
    json: Markup


def best_kept(view: RunView, most: int) -> list[Example]:
    """Return the first `most` kept rows by rank, or half of the kept where there are fewer."""
    kept = len(view.kept)
    return _kept_examples(view, np.arange(min(most, (kept + 1) // 2)))


def worst_kept(view: RunView, most: int) -> list[Example]:
    """Return the last `most` kept rows, worst first; none that `best_kept` shows."""
    kept = len(view.kept)
    return _kept_examples(view, np.arange(kept - 1, kept - 1 - min(most, kept // 2), -1))


def near_misses(view: RunView, number: int, most: int) -> list[Example]:
    """Return the rows that step `number` dropped and that came closest to being kept.

    Those are the dropped rows whose scores lie nearest to the range of the kept scores;
    within the range, the highest. Where dropped rows have no score, one row for each of
    the most frequent reasons stands in.
    """
    step, rows = view.steps[number], view.inputs[number]
    picks = _closest(step, most)
    if not len(picks):
        picks = _one_for_each_reason(step, most)
    return _examples(view.pool, rows[picks], step, picks)


def kept_table(view: RunView) -> KeptTable:
    """Return kept rows evenly spaced by rank: as many as `TABLE_BYTES` have room for."""
    kept = len(view.kept)
    ranks = np.linspace(0, kept - 1, min(kept, TABLE_ROWS)).astype(np.int64)
    rows = [_safe_json(_cells(example)) for example in _kept_examples(view, ranks)]
    while sum(len(row.encode()) for row in rows) > TABLE_BYTES:
        rows = rows[::2]
    return KeptTable(len(rows), Markup("[{}]").format(Markup(",\n").join(map(Markup, rows))))


def _closest(step: StepView, most: int) -> npt.NDArray[np.int64]:
    selection = step.selection
    scored, ids = np.isfinite(selection.scores), selection.ids
    kept = scored & selection.kept
    if not kept.any():
        return np.empty(0, np.int64)
    lowest = selection.scores.min(where=kept, initial=np.inf)
    highest = selection.scores.max(where=kept, initial=-np.inf)
    scores = np.where(scored & ~selection.kept, selection.scores, np.nan)
    near = scores - lowest
    np.minimum(near, highest - scores, out=near)  # below 0 outside the range of the kept
    within = top_k(scores, ids, most, among=near >= 0)
    beyond = top_k(near, ids, most, among=near < 0)
    return np.concatenate([within, beyond])[:most]


def _one_for_each_reason(step: StepView, most: int) -> npt.NDArray[np.int64]:
    dropped = np.flatnonzero(~step.selection.kept)
    reasons = pa.array(step.selection.reasons[dropped], pa.string()).dictionary_encode()
    codes, counts = np.unique(reasons.indices.to_numpy(), return_counts=True)
    frequent = codes[np.argsort(-counts, kind="stable")][:most]
    firsts = [int(np.argmax(reasons.indices.to_numpy() == code)) for code in frequent]
    return dropped[firsts]


def _kept_examples(view: RunView, ranks: npt.NDArray[np.int64]) -> list[Example]:
    if not len(ranks):
        return []
    step = view.steps[-1]
    return _examples(view.pool, view.kept[ranks], step, step.selection.indices[ranks])


def _examples(
    pool: Dataset,
    positions: npt.NDArray[np.int64],
    step: StepView,
    places: npt.NDArray[np.int64],
) -> list[Example]:
    """Return the rows at `positions` of the pool, which are at `places` of the step's input."""
    selection = step.selection
    facts = zip(
        id_texts(selection.ids[places]).to_pylist(),
        selection.ranks[places].tolist(),
        selection.scores[places].tolist(),
        (shown(reason, 200) for reason in selection.reasons[places]),
        strict=True,
    )
    return [
        Example(*fact, source, texts)
        for fact, (source, texts) in zip(facts, _texts(pool, positions), strict=True)
    ]


def _texts(pool: Dataset, positions: npt.NDArray[np.int64]) -> Iterator[tuple[Cut, dict[str, Cut]]]:
    """Read rows a few at a time, and cut them before they become Python strings."""
    if not len(positions):
        return
    for batch in pool.select(positions).with_format("arrow").iter(batch_size=_BATCH_ROWS):
        fields = formats.fields(batch)
        columns = zip(*(_cuts(column) for column in fields), strict=True)
        sources = source_texts(batch).to_pylist()
        for source, (prompt, response, text) in zip(sources, columns, strict=True):
            texts = {"Prompt": prompt, "Response": response}
            yield shown(source, 80), texts if prompt.text or response.text else {"Text": text}


def _cuts(column: pa.LargeStringArray) -> Iterator[Cut]:
    starts = pc.utf8_slice_codeunits(column, 0, TEXT_CHARACTERS).to_pylist()
    for start, length in zip(starts, pc.utf8_length(column).to_pylist(), strict=True):
        yield Cut(shown(start, TEXT_CHARACTERS).text, max(length - TEXT_CHARACTERS, 0))


def _cells(example: Example) -> list[object]:
    score = example.score if np.isfinite(example.score) else None
    prompt, response = [*example.texts.values(), Cut("")][:2]
    texts = [prompt.text, prompt.left_out, response.text, response.left_out]
    return [example.rank, score, example.source.text, *texts, example.id]


def _safe_json(value: object) -> str:
    """Return JSON in which no character can end a script element or begin a comment."""
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return written
