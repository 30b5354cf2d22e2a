"""What a recipe would do and cost, before anything is spent.

Nothing is guessed from a table: the recipe runs on a small sample of the pool, and the time,
the tokens and the share kept of each step are carried over to the whole, row by row. A model on
a server is not asked, as that may cost money: what it would be asked is counted.
"""

import resource
import sys
from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from tamis.data.ids import example_ids
from tamis.errors import RecipeError, TamisError
from tamis.kernels.draws import uniforms
from tamis.models.tally import Tally, tallied
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.steps import PlannedStep, planned_steps
from tamis.selectors.selection import Selection

__all__ = [
    "Plan",
    "StepCost",
    "Trial",
    "chosen",
    "held_bytes",
    "kept",
    "left",
    "peak_bytes",
    "plan",
]

SAMPLE_ROWS = 2_000
WARM_UP_ROWS = 8
FEW_ROWS = 64
PATIENCE = 20.0  # seconds that a step with a language model may take to be tried


@dataclass(frozen=True)
class StepCost:
    """What one step is expected to do; `done` when its result is there already.

    Attributes
    ----------
    number : int
    method, settings : str
    rows, kept : int
        `kept` is at most so many where a server would choose.
    seconds : float or None
        None where a server would answer.
    memory_bytes : int
    tokens : int
        Read and written by language models, answers at their longest.
    money : float or None
        US dollars; None where a server's prices are not known.
    done : bool
    """

    number: int
    method: str
    settings: str
    rows: int
    kept: int
    seconds: float | None
    memory_bytes: int
    tokens: int
    money: float | None
    done: bool


@dataclass(frozen=True)
class Plan:
    """What a recipe is expected to do, step by step.

    Attributes
    ----------
    recipe : str
    rows : int
        Of the pool.
    sample_rows : int
        Rows that were tried to know it; fewer for a step with a slow model.
    steps : tuple of StepCost
        `seconds` on this machine with one worker; `memory_bytes` the peak of the process.
    """

    recipe: str
    rows: int
    sample_rows: int
    steps: tuple[StepCost, ...]

    @property
    def seconds(self) -> float:
        """Seconds of all the steps that are not done yet, as far as they are known."""
        return sum(step.seconds or 0.0 for step in self.steps)


@dataclass(frozen=True)
class Trial:
    """A step, tried on some rows; there is no selection where it needs a server's answers."""

    seen: int
    selection: Selection | None
    tally: Tally


def plan(recipe: Recipe, pool: Dataset) -> Plan:
    """Return what `recipe` would do on `pool`, by trying it on a sample of at most 2,000 rows.

    Notes
    -----
    Time and memory grow in proportion to the rows. The share of duplicates grows with the
    pool too, so more may be dropped than is said here.

    Raises
    ------
    RecipeError
        If the recipe makes its pool.
    """
    if recipe.generate is not None:
        raise RecipeError(
            f"{recipe.name}: its pool is not made yet, and only a model knows what it will be; "
            f"`--set {recipe.generate.method}.tokens=N` sets a limit for `tamis run`"
        )
    rest = tried = _sample(pool, SAMPLE_ROWS)
    costs: list[StepCost] = []
    rows = len(pool)
    for step in planned_steps(recipe, pool):
        trial = _tried(step, rest)
        costs.append(_cost(step, rows, trial))
        rest = left(rest, trial, costs[-1].kept / rows)
        rows = costs[-1].kept
        if len(rest) == 0:
            break
    return Plan(recipe.name, len(pool), len(tried), tuple(costs))


def _tried(step: PlannedStep, rows: Dataset) -> Trial:
    """Try a step on `rows`, or on fewer where its language model would take too long."""
    chosen(step, rows.select(range(min(WARM_UP_ROWS, len(rows)))))  # compiles, loads models
    few = rows.select(range(min(WARM_UP_ROWS, len(rows)), min(FEW_ROWS, len(rows))))
    if len(few):
        trial = chosen(step, few)
        seconds = trial.selection.seconds if trial.selection else 0.0
        if trial.tally.read and seconds * len(rows) / len(few) > PATIENCE:
            return trial
    return chosen(step, rows)


def chosen(step: PlannedStep, rows: Dataset) -> Trial:
    """Choose from `rows` at their share of the budget, one at least."""
    k = step.k
    if k is not None:
        k = max(1, int(len(rows) * k)) if isinstance(k, float) else min(k, len(rows))
    with tallied() as tally:
        try:
            return Trial(len(rows), step.selector.choose(rows, k), tally)
        except TamisError:
            if not tally.unasked:
                raise
            return Trial(len(rows), None, tally)


def left(rows: Dataset, trial: Trial, share: float) -> Dataset:
    """Return what the next step is tried on; `share` of the rows where a server would choose."""
    if trial.selection is None or trial.tally.unasked:
        return rows.select(range(round(len(rows) * share)))
    if trial.seen < len(rows):
        rows = rows.select(range(WARM_UP_ROWS, WARM_UP_ROWS + trial.seen))
    return rows.select(np.sort(trial.selection.indices))


def _cost(step: PlannedStep, rows: int, trial: Trial) -> StepCost:
    tally, more = trial.tally, rows / trial.seen
    tokens, money = round((tally.read + tally.written) * more), tally.money
    seconds = None if tally.unasked or not trial.selection else trial.selection.seconds * more
    return StepCost(
        number=step.number,
        method=step.selector.name,
        settings=repr(step.selector),
        rows=rows,
        kept=kept(step, rows, trial),
        seconds=0.0 if step.done else seconds,
        memory_bytes=peak_bytes() + int(held_bytes(trial) * more),
        tokens=0 if step.done else tokens,
        money=0.0 if step.done else money and money * more,
        done=step.done,
    )


def held_bytes(trial: Trial) -> int:
    """Return the bytes of what was decided about the rows that were seen."""
    if trial.selection is None:
        return 0
    decided = trial.selection
    arrays = (decided.scores, decided.reasons, decided.ids, decided.signals)
    return sum(int(array.nbytes) for array in arrays)


def kept(step: PlannedStep, rows: int, trial: Trial) -> int:
    """Return how many of `rows` a step would keep, going by a trial."""
    if isinstance(step.k, int):
        return min(step.k, rows)
    if trial.selection is None or trial.tally.unasked:
        return rows if step.k is None else int(rows * step.k)
    return round(rows * len(trial.selection) / trial.seen)


def _sample(pool: Dataset, rows: int) -> Dataset:
    if len(pool) <= rows:
        return pool
    draws = uniforms(example_ids(pool), seed=0)
    return pool.select(np.sort(np.argpartition(draws, rows)[:rows]))


def peak_bytes() -> int:
    """Return the most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
