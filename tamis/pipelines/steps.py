"""The steps of a recipe over a pool, each done once.

A step's key is a digest of all that its result depends on: the pool's content, the steps
before it, its settings, its budget, and tamis' own code. Its Selection lies in
`steps/<key>.parquet`, written aside and renamed: a step whose file is there is done, in
this run, in a resumed one, or in another.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from datasets import Dataset

import tamis
from tamis.data.batches import rows_of
from tamis.data.files import home
from tamis.data.pools import pool_key
from tamis.errors import TamisError
from tamis.kernels.threads import spread
from tamis.models.account import Account, counting
from tamis.pipelines.recipe import Recipe
from tamis.selectors.base import Budget, Selector
from tamis.selectors.selection import Selection

__all__ = ["Outcome", "PlannedStep", "given", "planned_steps", "run_step"]


@dataclass(frozen=True)
class Outcome:
    """What a step did: rows in, rows kept, and the seconds it took when it was computed.

    `tokens` and `money` (US dollars; None where a server's prices are not known) are what it
    asked of language models now: nothing where its result was there.
    """

    number: int
    method: str
    settings: str
    key: str
    rows: int
    kept: int
    seconds: float
    reused: bool
    tokens: int = 0
    money: float | None = 0.0


@dataclass(frozen=True)
class PlannedStep:
    """A step that is ready to run: its selector, its budget, and where its result belongs."""

    number: int
    selector: Selector
    k: Budget
    key: str

    @property
    def path(self) -> Path:
        """Where the step's Selection lies once it is done."""
        return home() / "steps" / f"{self.key}.parquet"

    @property
    def done(self) -> bool:
        """Whether the step's result is there."""
        return self.path.exists()

    @cached_property
    def selection(self) -> Selection:
        """The step's result, over the rows that the step before kept."""
        return Selection.load(self.path)

    def kept_rows(self) -> npt.NDArray[np.int64]:
        """Return the positions it kept among the rows it was given, ascending."""
        file = pq.ParquetFile(self.path, pre_buffer=False)
        parts = file.iter_batches(columns=["kept"])
        kept = [part["kept"].to_numpy(zero_copy_only=False) for part in parts]
        return np.flatnonzero(np.concatenate(kept)) if kept else np.empty(0, np.int64)


def planned_steps(recipe: Recipe, pool: Dataset) -> list[PlannedStep]:
    """Return the recipe's steps, each with the key of its result on this pool."""
    key = f"{pool_key(pool)}-{len(pool)}"  # rows of a pool can be forgotten, and never change
    steps = []
    for number, (step, selector) in enumerate(
        zip(recipe.steps, recipe.selectors(), strict=True), start=1
    ):
        key = _digest(code_digest(), key, selector.name, selector.settings(), step.k)
        steps.append(PlannedStep(number, selector, step.k, key))
    return steps


def given(pool: Dataset, earlier: Sequence[PlannedStep]) -> Dataset:
    """Return what the `earlier` steps kept of the pool, in its order: what the next one sees."""
    rows = np.arange(len(pool))
    for kept in spread(PlannedStep.kept_rows, earlier, most=2):  # each as long as the pool
        rows = rows[kept]
    return pool if len(rows) == len(pool) else rows_of(pool, rows)  # a whole file reads best


def run_step(step: PlannedStep, pool: Dataset, earlier: Sequence[PlannedStep]) -> Outcome:
    """Run `step` on what the `earlier` ones kept of the pool, unless it is done already.

    Raises
    ------
    TamisError
        As the method raises it, with the step's number before it.
    """
    if step.done:
        step.path.touch()  # `tidy` asks when a result was last of use
        return _outcome(step, reused=True, cost=Account())
    with counting() as cost:
        try:
            step.selector.choose(given(pool, earlier), step.k).save(step.path)
        except TamisError as error:
            error.args = (f"step {step.number}, {error}", *error.args[1:])
            raise
    return _outcome(step, reused=False, cost=cost)


def _outcome(step: PlannedStep, *, reused: bool, cost: Account) -> Outcome:
    facts = pq.read_metadata(step.path)
    written = json.loads(facts.metadata[b"tamis"])
    return Outcome(
        number=step.number,
        method=step.selector.name,
        settings=repr(step.selector),
        key=step.key,
        rows=facts.num_rows,
        kept=written["kept"],
        seconds=written["seconds"],
        reused=reused,
        tokens=cost.tokens,
        money=cost.money,
    )


@cache
def code_digest() -> str:
    """Return a digest of what decides: a changed method or bundled model reuses no old result."""
    root = Path(tamis.__file__).parent
    code = [
        path
        for room in ("data", "kernels", "models", "prompting", "selectors")
        for path in (root / room).rglob("*.py")
    ]
    weights = [path for path in (root / "models" / "bundled").rglob("*") if path.is_file()]
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted({*code, *weights}):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
