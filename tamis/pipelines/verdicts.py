"""What a comparison found: a table with intervals and plain verdicts, from its trials."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tamis.data.ids import example_ids, id_texts
from tamis.kernels.intervals import Gain, gain
from tamis.pipelines.compare import BASELINE, Design
from tamis.pipelines.trials import UNTRAINED, WHOLE, Amount, Trial

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

__all__ = ["Comparison", "Failure", "Result", "concluded"]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Result:
    """One method at one budget.

    Attributes
    ----------
    method : str
    budget, unit : int and str
        How much it might pick: rows, or tokens.
    loss : float
        Nats a token on the held-out examples, mean over the trainings.
    gain, half_width : float, optional
        By how much the random draws' loss is higher, and the half-width of its interval;
        NaN where there is no interval. None for the draws themselves.
    verdict : str
    accuracy, accuracy_gain, accuracy_half_width : float, optional
        Share of right labels, likewise; above 0 is better.
    rows, tokens : float
        Picked, mean over the seeds.
    trainings, picks : int
        How many models were trained, and on how many different picks.
    select_seconds, train_seconds : float
        In all.
    rows_scored, tokens_read : int
        For the selection: rows looked at, tokens through models, in all.
    """

    method: str
    budget: int
    unit: str
    loss: float
    gain: float | None
    half_width: float | None
    verdict: str
    accuracy: float | None
    accuracy_gain: float | None
    accuracy_half_width: float | None
    rows: float
    tokens: float
    trainings: int
    picks: int
    select_seconds: float
    train_seconds: float
    rows_scored: int
    tokens_read: int


@dataclass(frozen=True)
class Failure:
    """A trial that failed; the others stand."""

    method: str
    seed: int
    budget: int
    unit: str
    reason: str


@dataclass(frozen=True, eq=False)
class Comparison:
    """Which picks train better, and by how much.

    It prints as a table; `to_pandas` and `to_arrow` give it as data, `plot` as a curve.

    Attributes
    ----------
    id : str
    results : list of Result
        Each method at each budget, random draws first.
    untrained : float
        Loss of the proxy before any training.
    overlap : pyarrow.Table
        budget, unit, method, other, share: what share of the smaller pick two methods have
        in common (mean over seeds; of a method with itself, between two seeds), and
        `by_chance`, what two random draws of these sizes would have.
    picks : pyarrow.Table
        method, seed, budget, unit, rank, example_id: every pick, row by row.
    trials : pyarrow.Table
        One row a training.
    failures : list of Failure
    notes : list of str
        What was left out, and how the intervals are made.
    facts : dict
        Rows of the pool, exact and near copies of the target among them, examples shown and
        held out, the confidence of the intervals.
    """

    id: str
    results: list[Result]
    untrained: float
    overlap: pa.Table
    picks: pa.Table
    trials: pa.Table
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def to_arrow(self) -> pa.Table:
        """Return the results, a row a method and budget."""
        return rows_table(self.results, Result)

    def to_pandas(self) -> "pd.DataFrame":
        """Return the results as a data frame."""
        return cast("pd.DataFrame", self.to_arrow().to_pandas())

    def plot(self) -> "Figure":
        """Return the loss of each method against the budget, with intervals, as a figure."""
        from tamis.pipelines.curves import curves

        return curves(self)

    @property
    def verdicts(self) -> dict[tuple[str, int], str]:
        """The verdict on each method at each budget."""
        return {(r.method, r.budget): r.verdict for r in self.results if r.gain is not None}

    @cached_property
    def cells(self) -> list[list[str]]:
        """The table as text: its head, then a line a result."""
        scored = any(result.accuracy is not None for result in self.results)
        return [_head(scored), *(_line(result, scored) for result in self.results)]

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self.cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in self.cells
        ]
        failed = [f"Failed: {f.method}, seed {f.seed}: {f.reason}" for f in self.failures]
        return "\n".join([*lines, "", *failed, *self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(escape=True, index=False))


def concluded(
    comparison_id: str,
    design: Design,
    trials: Sequence[Trial],
    failures: Sequence[Failure] = (),
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Return what the trials of a design say.

    Intervals hold together: with m comparisons each has the confidence 1 - (1 - c) / m
    (Bonferroni), so that a pool without any signal yields a false 'better' seldom, however
    many methods are tried on it.
    """
    done = {amount: _by_method(trials, amount) for amount in _amounts(trials)}
    compared = [
        (method, amount)
        for amount, by_method in done.items()
        for method in by_method
        if method != BASELINE
    ]
    wide = [trial for trial in trials if trial.method == WHOLE]
    m = max(1, len(compared) + len(wide) * len(done))
    level = 1 - (1 - confidence) / m
    results = []
    for by_method in done.values():
        base = by_method.get(BASELINE, [])
        for method, tried in by_method.items():
            other = None if method == BASELINE else base
            results.append(_result(tried, other, level, confidence))
    if wide and done:
        largest = list(done.values())[-1].get(BASELINE, [])
        results.append(_result(wide, largest, level, confidence))
    [untrained] = [trial.loss for trial in trials if trial.method == UNTRAINED] or [float("nan")]
    return Comparison(
        comparison_id,
        results,
        untrained,
        _overlap(done, len(design.bench.pool)),
        _picks(trials, design),
        _trials_table(trials),
        list(failures),
        [*design.notes, *_short_notes(results), _interval_note(confidence, m)],
        {
            "pool_rows": design.pool_rows,
            "exact_copies": len(design.leakage.exact),
            "near_copies": len(design.leakage.near),
            "shown": design.shown,
            "held_out": design.held_out,
            "confidence": confidence,
            "comparisons": m,
        },
    )


def rows_table(rows: Sequence[Any], kind: type) -> pa.Table:
    """Return dataclasses as a table."""
    columns = fields(kind)
    return pa.Table.from_pylist(
        [{column.name: getattr(row, column.name) for column in columns} for row in rows],
        pa.schema([(column.name, _ARROW[column.type]) for column in columns]),
    )


_ARROW: dict[Any, pa.DataType] = {
    int: pa.int64(),
    str: pa.string(),
    float: pa.float64(),
    float | None: pa.float64(),
}


def _amounts(trials: Iterable[Trial]) -> list[Amount]:
    return sorted({trial.amount for trial in trials if trial.method not in {UNTRAINED, WHOLE}})


def _by_method(trials: Iterable[Trial], amount: Amount) -> dict[str, list[Trial]]:
    """Return the trials at a budget, method by method, the draws first."""
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.amount == amount and trial.method not in {UNTRAINED, WHOLE}:
            found.setdefault(trial.method, []).append(trial)
    return dict(sorted(found.items(), key=lambda item: item[0] != BASELINE))


def _result(
    tried: list[Trial], base: list[Trial] | None, level: float, confidence: float
) -> Result:
    better = right = None
    if base:
        better = _gain(tried, base, level, lambda trial: trial.nats, tried[0].weights)
    right_known = tried[0].right is not None
    if base and right_known:
        ones = np.ones(len(tried[0].weights))
        right = _gain(tried, base, level, lambda trial: -_known(trial.right), ones)
    return Result(
        method=tried[0].method,
        budget=tried[0].amount.count,
        unit=tried[0].amount.unit,
        loss=float(np.mean([trial.loss for trial in tried])),
        gain=None if better is None else better.mean,
        half_width=None if better is None else better.half_width,
        verdict=_verdict(better, base, confidence),
        accuracy=float(np.mean([_known(t.right).mean() for t in tried])) if right_known else None,
        accuracy_gain=None if right is None else right.mean,
        accuracy_half_width=None if right is None else right.half_width,
        rows=float(np.mean([trial.rows for trial in tried])),
        tokens=float(np.mean([trial.tokens for trial in tried])),
        trainings=len(tried),
        picks=len(set(_groups(tried).tolist())),
        **_costs(tried),
    )


def _gain(
    tried: list[Trial],
    base: list[Trial],
    level: float,
    lost: Callable[[Trial], Floats],
    weights: Floats,
) -> Gain:
    ours, theirs = (np.stack([lost(trial) for trial in some]) for some in (tried, base))
    return gain(ours, theirs, weights, _groups(tried), confidence=level)


def _groups(tried: list[Trial]) -> npt.NDArray[np.int64]:
    """Return a number for each trial, the same for those trained on the same rows."""
    rows = [np.sort(trial.positions).tobytes() for trial in tried]
    return np.unique(rows, return_inverse=True)[1]


def _costs(tried: list[Trial]) -> dict[str, Any]:
    """Return what the trials took in all; a pick that several share was made once."""
    picks = {group: trial for group, trial in zip(_groups(tried), tried, strict=True)}
    return {
        "select_seconds": sum(trial.select_seconds for trial in picks.values()),
        "train_seconds": sum(trial.train_seconds for trial in tried),
        "rows_scored": sum(trial.rows_scored for trial in picks.values()),
        "tokens_read": sum(trial.tokens_read for trial in picks.values()),
    }


def _known(right: Floats | None) -> Floats:
    assert right is not None
    return right


def _verdict(better: Gain | None, base: list[Trial] | None, confidence: float) -> str:
    if better is None:
        return "the draws" if base is None else "no draw to compare with"
    if np.isnan(better.half_width):
        return "no interval: too few draws or examples"
    if not better.clear:
        return "no difference seen"
    word = "better" if better.mean > 0 else "worse"
    size = f"{abs(better.mean):.3f} ± {better.half_width:.3f}"
    return f"{word} than random by {size} nats ({confidence:.0%})"


def _short_notes(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        if result.unit == "rows" and result.rows < result.budget and result.method != WHOLE:
            yield (
                f"{result.method} picked {result.rows:,.0f} rows where {result.budget:,} were "
                "asked for: the comparison is not at an equal budget."
            )


def _interval_note(confidence: float, m: int) -> str:
    together = f" for all {m} comparisons together (Bonferroni)" if m > 1 else ""
    return (
        f"Intervals: {confidence:.0%}{together}; Student's t over picks, a bootstrap over "
        "held-out examples, both methods examined on the same ones."
    )


def _overlap(done: Mapping[Amount, dict[str, list[Trial]]], pool: int) -> pa.Table:
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


def _picks(trials: Iterable[Trial], design: Design) -> pa.Table:
    ids = example_ids(design.bench.pool)
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


def _trials_table(trials: Iterable[Trial]) -> pa.Table:
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


def _head(scored: bool) -> list[str]:
    accuracy = ["accuracy"] if scored else []
    return [
        "method", "budget", "loss", "against random", *accuracy, "rows", "tokens",
        "select", "train", "verdict",
    ]  # fmt: skip


def _line(result: Result, scored: bool) -> list[str]:
    against = "" if result.gain is None else f"{result.gain:+.3f} ± {result.half_width:.3f}"
    accuracy = []
    if scored:
        accuracy = ["" if result.accuracy is None else f"{result.accuracy:.1%}"]
        if result.accuracy_gain is not None:
            accuracy = [
                f"{accuracy[0]} ({result.accuracy_gain:+.1%} ± {result.accuracy_half_width:.1%})"
            ]
    return [
        result.method,
        str(Amount(result.budget, result.unit)),  # type: ignore[arg-type]
        f"{result.loss:.3f}",
        against.replace("-", "−"),
        *(cell.replace("-", "−") for cell in accuracy),
        f"{result.rows:,.0f}",
        f"{result.tokens:,.0f}",
        f"{result.select_seconds:,.1f} s",
        f"{result.train_seconds:,.0f} s",
        result.verdict,
    ]
