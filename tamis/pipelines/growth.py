"""What each step of a recipe costs one core, and how that grows: measured at four sizes.

A sample is cut into parts of n, 2n, 4n and 8n rows, drawn by their ids, that share no row: so
nothing that was computed for one size is of use to the next. The steps run over each part, in
a home of their own that is thrown away. Seconds are those of the processor, whatever number of
threads they were spent in: what one core would take. What the engine runs, batch by batch, many
machines can share; the rest, such as picking the best of all scores, one of them does alone.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data.batches import Keyed, Keys, LocalEngine, using
from tamis.data.files import home
from tamis.data.ids import example_ids
from tamis.data.progress import quiet
from tamis.errors import DataError
from tamis.kernels.draws import uniforms
from tamis.pipelines.plan import Trial, chosen, held_bytes, kept, left
from tamis.pipelines.steps import PlannedStep

__all__ = ["Fit", "Growth", "measured"]

S = TypeVar("S")
T = TypeVar("T")

SHARES = np.array([1, 2, 4, 8])
FEWEST_ROWS = 150
MOST_ROWS = 1_000_000
WARM_UP_ROWS = 8
PILOTS = (64, 512)  # rows that are tried first, to know how many more can be
PATIENCE = 60.0  # seconds of processor that all four sizes may take
SURE = 2.0  # standard errors above 1 that an exponent must be to be believed


@dataclass(frozen=True)
class Fit:
    """Seconds of one core by rows.

    Attributes
    ----------
    rows, seconds : tuple of float
        As measured.
    exponent, error : float
        Of the power of the rows that fits best, and its standard error; 1 and infinity where
        the sizes say nothing.
    start, each : float
        Of the line that fits best: seconds to begin with, and seconds a row.
    """

    rows: tuple[float, ...]
    seconds: tuple[float, ...]
    exponent: float
    error: float
    start: float
    each: float

    @classmethod
    def of(cls, rows: Sequence[float], seconds: Sequence[float]) -> "Fit":
        """Fit a power and a line, by least squares of what each is off by in proportion.

        >>> fit = Fit.of([100, 200, 400, 800], [0.1, 0.4, 1.6, 6.4])
        >>> round(fit.exponent, 6), round(fit.at(1600), 6)
        (2.0, 25.6)
        >>> fit = Fit.of([100, 200, 400, 800], [3, 4, 6, 10])
        >>> round(fit.start, 6), round(fit.each, 6), round(fit.at(1000), 6)
        (2.0, 0.01, 12.0)
        """
        n, t = np.array(rows, float), np.maximum(np.array(seconds, float), 1e-9)
        exponent, error, start, each = 1.0, np.inf, 0.0, float(t[-1] / n[-1])
        if len(set(rows)) > 2:
            x, y = np.log(n), np.log(t)
            apart = x - x.mean()
            exponent = float(apart @ y / (apart @ apart))
            rest = y - y.mean() - exponent * apart
            error = float(np.sqrt(rest @ rest / (len(n) - 2) / (apart @ apart)))
            line, *_ = np.linalg.lstsq(np.stack([1 / t, n / t], 1), np.ones(len(n)), rcond=None)
            if line.min() > 0:
                start, each = map(float, line)
        return cls(tuple(n.tolist()), tuple(t.tolist()), exponent, error, start, each)

    @property
    def superlinear(self) -> bool:
        """Whether cost surely grows faster than the rows."""
        return self.exponent - SURE * self.error > 1

    def at(self, rows: float) -> float:
        """Return the seconds for so many rows.

        By the power where it surely is above 1, else by the line: a power that is not sure
        would be carried over many sizes, and one below 1 is what starting costs.
        """
        if self.superlinear:
            return float(self.seconds[-1] * (rows / self.rows[-1]) ** self.exponent)
        return self.start + self.each * rows


@dataclass(frozen=True)
class Growth:
    """What a step costs and leaves, going by its largest part.

    Attributes
    ----------
    step : PlannedStep
    fit, shared, alone : Fit or None
        Of all of it, and of its two parts; None where a server would answer.
    trial : Trial
        Over `trial.seen` rows.
    row_bytes : float
        Of a row in memory.
    held_bytes : float
        A row, of what was decided.
    stored_bytes : float
        A row, of the features that were computed and kept.
    """

    step: PlannedStep
    fit: Fit | None
    shared: Fit | None
    alone: Fit | None
    trial: Trial
    row_bytes: float
    held_bytes: float
    stored_bytes: float

    def kept(self, rows: int) -> int:
        """Return how many of so many rows the step would keep."""
        return kept(self.step, rows, self.trial)


@dataclass(frozen=True)
class _Point:
    trial: Trial
    seconds: float
    shared: float
    row_bytes: float
    stored: int


def measured(steps: Sequence[PlannedStep], pool: Dataset) -> list[Growth]:
    """Return what each step costs, as far as rows are left for it.

    Raises
    ------
    DataError
        If the sample is too small to be cut into four parts.
    """
    if len(pool) < FEWEST_ROWS:
        raise DataError(
            f"the sample has {len(pool)} rows; give at least {FEWEST_ROWS} to see how cost grows"
        )
    order = np.argsort(uniforms(example_ids(pool), seed=0))
    with _home_of_its_own():
        _over(steps, pool.select(order[:WARM_UP_ROWS]))  # compiles, loads models
        rest = _affordable(steps, pool, order[WARM_UP_ROWS:])
        ends = np.cumsum(len(rest) * SHARES // SHARES.sum())
        parts = [rest[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        runs = [_over(steps, pool.select(np.sort(part))) for part in parts]
    return [
        _growth(step, [run[number] for run in runs if number < len(run)])
        for number, step in enumerate(steps)
        if number < len(runs[-1])
    ]


def _affordable(
    steps: Sequence[PlannedStep], pool: Dataset, order: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Try a few rows; return as many of the others, in `order`, as there is patience for."""
    seen, spent, each = 0, 0.0, 0.0
    for few in PILOTS:
        if 4 * few > len(order) or each * few > PATIENCE / 4:
            break
        seconds = sum(point.seconds for point in _over(steps, pool.select(order[:few])))
        each = (seconds - spent) / (few - seen)  # of these alone: what starting costs is not in it
        seen, spent, order = few, seconds, order[few:]
    return order[: int(min(MOST_ROWS, PATIENCE / max(each, 1e-6)))]


def _growth(step: PlannedStep, points: Sequence[_Point]) -> Growth:
    last = points[-1]
    seen = last.trial.seen
    held = held_bytes(last.trial) / seen
    fit = shared = alone = None
    if last.trial.selection is not None and not last.trial.tally.unasked:
        rows = [point.trial.seen for point in points]
        inside = [min(point.shared, point.seconds) for point in points]
        whole = [point.seconds for point in points]
        rest = [every - some for every, some in zip(whole, inside, strict=True)]
        fit, shared, alone = (Fit.of(rows, seconds) for seconds in (whole, inside, rest))
    return Growth(step, fit, shared, alone, last.trial, last.row_bytes, held, last.stored / seen)


def _over(steps: Sequence[PlannedStep], rows: Dataset) -> list[_Point]:
    """Run the steps over some rows, each on what the one before left."""
    points = []
    for step in steps:
        engine, stored, started = _Timed(), _stored(), time.process_time()
        with quiet(), using(engine):
            trial = chosen(step, rows)
        seconds = time.process_time() - started
        row_bytes = rows.with_format("arrow")[:].nbytes / len(rows)
        points.append(_Point(trial, seconds, engine.seconds, row_bytes, _stored() - stored))
        rows = left(rows, trial, kept(step, len(rows), trial) / len(rows))
        if len(rows) == 0:
            break
    return points


class _Timed:
    """An engine of this process that counts the seconds of what other engines would share."""

    apart: ClassVar[bool] = False

    def __init__(self) -> None:
        self._engine, self.seconds = LocalEngine(), 0.0

    def map(self, pool: Dataset, function: Callable[[pa.Table], T], label: str) -> Iterator[T]:
        return self._counted(self._engine.map(pool, function, label))

    def each(self, items: Iterable[S], function: Callable[[S], T], label: str) -> Iterator[T]:
        return self._counted(self._engine.each(items, function, label))

    @contextmanager
    def keyed(
        self, pool: Dataset, function: Keyed[T], bands: int, label: str
    ) -> Iterator[tuple[Iterator[T], Keys]]:
        with self._engine.keyed(pool, function, bands, label) as (answers, keys):
            yield self._counted(answers), _TimedKeys(self, keys)

    @contextmanager
    def counting(self) -> Iterator[None]:
        started = time.process_time()
        try:
            yield
        finally:
            self.seconds += time.process_time() - started

    def _counted(self, results: Iterator[T]) -> Iterator[T]:
        while True:
            with self.counting():
                try:
                    result = next(results)
                except StopIteration:
                    return
            yield result


@dataclass(frozen=True)
class _TimedKeys:
    engine: _Timed
    keys: Keys

    def buckets(
        self, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        with self.engine.counting():
            return self.keys.buckets(rows)


def _stored() -> int:
    folder = home() / "features"
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextmanager
def _home_of_its_own() -> Iterator[None]:
    before = os.environ.get("TAMIS_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAMIS_HOME"] = str(Path(folder))
        try:
            yield
        finally:
            if before is None:
                del os.environ["TAMIS_HOME"]
            else:
                os.environ["TAMIS_HOME"] = before
