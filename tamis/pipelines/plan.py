"""What a recipe would do and cost, before anything is spent.

Nothing is guessed from a table: the recipe runs on a small sample of the pool, and the time
and the share kept of each step are carried over to the whole, row by row.
"""

import resource
import sys
from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from tamis.data.ids import example_ids
from tamis.kernels.draws import uniforms
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.steps import PlannedStep, planned_steps
from tamis.selectors.selection import Selection

__all__ = ["Plan", "StepCost", "plan"]

SAMPLE_ROWS = 2_000
WARM_UP_ROWS = 8


@dataclass(frozen=True)
class StepCost:
    """What one step is expected to do; `done` when its result is there already."""

    number: int
    method: str
    settings: str
    rows: int
    kept: int
    seconds: float
    memory_bytes: int
    tokens: int
    money: float
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
        Rows that were tried to know it.
    steps : tuple of StepCost
        `seconds` on this machine with one worker; `memory_bytes` the peak of the process;
        `tokens` through models; `money` in US dollars.
    """

    recipe: str
    rows: int
    sample_rows: int
    steps: tuple[StepCost, ...]

    @property
    def seconds(self) -> float:
        """Seconds of all the steps that are not done yet."""
        return sum(step.seconds for step in self.steps)


def plan(recipe: Recipe, pool: Dataset) -> Plan:
    """Return what `recipe` would do on `pool`, by trying it on a sample of at most 2,000 rows.

    Notes
    -----
    Time and memory grow in proportion to the rows. The share of duplicates grows with the
    pool too, so more may be dropped than is said here.
    """
    sample = _sample(pool, SAMPLE_ROWS)
    steps = planned_steps(recipe, pool)
    _tried(
        steps, _sample(sample, WARM_UP_ROWS)
    )  # compiles the kernels: the sample shows work alone
    costs: list[StepCost] = []
    rows = len(pool)
    for step, (seen, selection) in zip(steps, _tried(steps, sample), strict=False):
        costs.append(_cost(step, rows, seen, selection))
        rows = costs[-1].kept
    return Plan(recipe.name, len(pool), len(sample), tuple(costs))


def _tried(steps: list[PlannedStep], rows: Dataset) -> list[tuple[int, Selection]]:
    """Run each step on what the one before kept of the sample, at its share of the budget."""
    tried = []
    for step in steps:
        k = step.k if step.k is None or isinstance(step.k, float) else min(step.k, len(rows))
        selection = step.selector.choose(rows, k)
        tried.append((len(rows), selection))
        if len(selection) == 0:
            break
        rows = rows.select(np.sort(selection.indices))
    return tried


def _cost(step: PlannedStep, rows: int, seen: int, selection: Selection) -> StepCost:
    share = len(selection) / seen
    kept = min(step.k, rows) if isinstance(step.k, int) else round(rows * share)
    held = sum(array.nbytes for array in (selection.scores, selection.reasons, selection.ids))
    per_row = (held + selection.signals.nbytes) / seen
    return StepCost(
        number=step.number,
        method=step.selector.name,
        settings=repr(step.selector),
        rows=rows,
        kept=kept,
        seconds=0.0 if step.done else selection.seconds * rows / seen,
        memory_bytes=_peak_bytes() + int(per_row * rows),
        tokens=0,
        money=0.0,
        done=step.done,
    )


def _sample(pool: Dataset, rows: int) -> Dataset:
    if len(pool) <= rows:
        return pool
    draws = uniforms(example_ids(pool), seed=0)
    return pool.select(np.sort(np.argpartition(draws, rows)[:rows]))


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
