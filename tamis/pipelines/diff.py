"""What changed between two runs: which rows came in, which left, and why."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tamis.data import formats
from tamis.data.ids import id_texts
from tamis.errors import RunError
from tamis.pipelines.runs import Run
from tamis.selectors.selection import Selection

__all__ = ["GONE", "NEW", "Diff", "diff"]

NEW = "new in the pool"
GONE = "no longer in the pool"


@dataclass(frozen=True)
class Diff:
    """The difference between what two runs kept.

    Attributes
    ----------
    before, after : str
        Ids of the runs.
    stayed : int
        Rows that both kept.
    came, left : pyarrow.Table
        Columns example_id, reason, prompt, response, text: rows that only the later, or only
        the earlier run kept. The reason is what the run that did not keep the row said of it,
        or that the row was not in its pool.
    pool_came, pool_left : int
        Rows that are in one pool alone, kept or not.
    """

    before: str
    after: str
    stayed: int
    came: pa.Table
    left: pa.Table
    pool_came: int
    pool_left: int

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many came and left for each reason, most frequent first."""
        return {"came": _counted(self.came), "left": _counted(self.left)}


def diff(before: Run, after: Run) -> Diff:
    """Return what `after` keeps that `before` did not, and the other way round.

    Raises
    ------
    RunError
        If one of them is not done, or its steps were tidied away.
    """
    first, second = _verdicts(before), _verdicts(after)
    kept_first, kept_second = np.unique(first.ids[first.kept]), np.unique(second.ids[second.kept])
    came = np.setdiff1d(kept_second, kept_first)
    left = np.setdiff1d(kept_first, kept_second)
    return Diff(
        before=before.id,
        after=after.id,
        stayed=len(np.intersect1d(kept_first, kept_second)),
        came=_rows(came, after, second, _reasons(came, first, NEW)),
        left=_rows(left, before, first, _reasons(left, second, GONE)),
        pool_came=len(np.setdiff1d(second.ids, first.ids)),
        pool_left=len(np.setdiff1d(first.ids, second.ids)),
    )


def _verdicts(run: Run) -> Selection:
    if run.status != "done":
        raise RunError(f"run {run.id}: {run.status}; compare runs that are done")
    return run.selection


def _reasons(ids: npt.NDArray[np.void], of: Selection, absent: str) -> npt.NDArray[np.object_]:
    """Return what a selection says of each id; of copies, what is said of the first."""
    known, first = np.unique(of.ids, return_index=True)
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    there = known[at] == ids
    return np.where(there, of.reasons[first[at]], absent)


def _rows(
    ids: npt.NDArray[np.void], run: Run, verdicts: Selection, reasons: npt.NDArray[np.object_]
) -> pa.Table:
    """Return the rows with these ids as they stand in the run's pool."""
    known, first = np.unique(verdicts.ids, return_index=True)
    rows = run.pool.select(first[np.searchsorted(known, ids)])
    said = formats.fields(rows.with_format("arrow")[:]) if len(rows) else _NOTHING
    return pa.table(
        {"example_id": id_texts(ids), "reason": pa.array(reasons, pa.string()), **said._asdict()}
    )


_NOTHING = formats.Fields(*[pa.array([], pa.large_string())] * 3)


def _counted(rows: pa.Table) -> dict[str, int]:
    counted = rows["reason"].value_counts().to_pylist()
    pairs = {entry["values"]: entry["counts"] for entry in counted}
    return dict(sorted(pairs.items(), key=lambda item: (-item[1], item[0])))
