"""A comparison that was made: its table, as text and as data."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from tamis.pipelines.trials import Amount

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Comparison", "Failure", "Result"]


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
        return _rows_table(self.results)

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


def _rows_table(results: Sequence[Result]) -> pa.Table:
    return pa.Table.from_pylist(
        [asdict(result) for result in results],
        pa.schema([(column.name, _ARROW[column.type]) for column in fields(Result)]),
    )


_ARROW: dict[Any, pa.DataType] = {
    int: pa.int64(),
    str: pa.string(),
    float: pa.float64(),
    float | None: pa.float64(),
}


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
