"""What stands behind a comparison's results: picks, trainings, and which picks agree."""

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np
import pyarrow as pa
from datasets import Dataset

from tamis.data.ids import example_ids, id_texts
from tamis.pipelines.trials import UNTRAINED, WHOLE, Amount, Trial

__all__ = ["overlap", "picks", "trainings"]


def overlap(done: Mapping[Amount, Mapping[str, list[Trial]]], pool: int) -> pa.Table:
    """Return what share of their picks each two methods have in common, at each budget.

    Parameters
    ----------
    done : mapping
        At each budget, the trials of each method.
    pool : int
        How many rows may be picked.
    """
    rows = []
    for amount, by_method in done.items():
        names = list(by_method)
        for i, method in enumerate(names):
            for other in names[i:]:
                pairs = _pairs(by_method[method], by_method[other], method == other)
                if pairs:
                    rows.append(
                        {
                            "budget": amount.count,
                            "unit": amount.unit,
                            "method": method,
                            "other": other,
                            "share": float(np.mean([_shared(*pair) for pair in pairs])),
                            "by_chance": float(
                                np.mean([max(a.rows, b.rows) / pool for a, b in pairs])
                            ),
                        }
                    )
    return pa.Table.from_pylist(rows, _OVERLAP)


_OVERLAP = pa.schema(
    [("budget", pa.int64()), ("unit", pa.string()), ("method", pa.string()),
     ("other", pa.string()), ("share", pa.float64()), ("by_chance", pa.float64())]
)  # fmt: skip


def _pairs(ours: list[Trial], others: list[Trial], same: bool) -> list[tuple[Trial, Trial]]:
    if same:
        return list(combinations(ours, 2))
    return [(a, b) for a in ours for b in others if a.seed == b.seed]


def _shared(one: Trial, other: Trial) -> float:
    both = np.intersect1d(one.positions, other.positions).size
    return both / max(1, min(one.rows, other.rows))


def picks(trials: Iterable[Trial], pool: Dataset) -> pa.Table:
    """Return every pick, a row of the table for a row that was picked."""
    ids = example_ids(pool)
    kept = [trial for trial in trials if trial.method not in {UNTRAINED, WHOLE}]
    parts = [
        pa.table(
            {
                "method": pa.array([trial.method] * trial.rows, pa.string()),
                "seed": pa.array([trial.seed] * trial.rows, pa.int64()),
                "budget": pa.array([trial.amount.count] * trial.rows, pa.int64()),
                "unit": pa.array([trial.amount.unit] * trial.rows, pa.string()),
                "rank": pa.array(np.arange(1, trial.rows + 1)),
                "example_id": id_texts(ids[trial.positions]),
            }
        )
        for trial in kept
    ]
    return pa.concat_tables(parts) if parts else pa.table({})


def trainings(trials: Iterable[Trial]) -> pa.Table:
    """Return what each training found and took, a row each."""
    rows = [
        {
            "method": trial.method,
            "seed": trial.seed,
            "budget": trial.amount.count,
            "unit": trial.amount.unit,
            "loss": trial.loss,
            "accuracy": None if trial.right is None else float(trial.right.mean()),
            "rows": trial.rows,
            "tokens": trial.tokens,
            "select_seconds": trial.select_seconds,
            "train_seconds": trial.train_seconds,
            "rows_scored": trial.rows_scored,
            "tokens_read": trial.tokens_read,
        }
        for trial in trials
    ]
    return pa.Table.from_pylist(rows, _TRIALS)


_TRIALS = pa.schema(
    [("method", pa.string()), ("seed", pa.int64()), ("budget", pa.int64()), ("unit", pa.string()),
     ("loss", pa.float64()), ("accuracy", pa.float64()), ("rows", pa.int64()),
     ("tokens", pa.int64()), ("select_seconds", pa.float64()), ("train_seconds", pa.float64()),
     ("rows_scored", pa.int64()), ("tokens_read", pa.int64())]
)  # fmt: skip
