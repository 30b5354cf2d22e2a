"""Runs: their folders, what they did, and what came out.

A run's folder `runs/<id>/` holds `run.json` (its record), `recipe.yaml` (as it ran),
`outcomes.json` (what each step did), `steps/NN-method.parquet` (each step's Selection),
`curated.parquet`, `report.html`, and `lock`, which the process that runs it holds.
"""

import json
import os
import secrets
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from datasets import Dataset
from filelock import FileLock, Timeout

import tamis
from tamis.data import catalog
from tamis.data.catalog import RunRecord
from tamis.data.examples import write_examples
from tamis.data.files import home, written_aside
from tamis.data.load import load, rejected
from tamis.data.pools import open_pool, pool_key
from tamis.data.save import save_tables
from tamis.errors import CatalogError, RunError, did_you_mean
from tamis.kernels.threads import spread
from tamis.models.account import Account, counting
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.steps import Outcome, PlannedStep, given
from tamis.selectors.chained import joined
from tamis.selectors.selection import Selection

__all__ = [
    "Run",
    "find",
    "marked",
    "new_id",
    "note",
    "recorded",
    "runs",
    "write_curated",
    "write_outcomes",
    "write_texts",
]

_VERSIONED = ("datasets", "duckdb", "numba", "numpy", "prefect", "pyarrow")


@dataclass(frozen=True)
class Run:
    """One execution of a recipe.

    Attributes
    ----------
    id : str
    record : RunRecord
        What the catalogue says of it.
    spent : Account
        What models do for it, while this process runs it.
    """

    id: str
    record: RunRecord
    spent: Account = field(default_factory=Account)

    @property
    def folder(self) -> Path:
        """The run's files."""
        return home() / "runs" / self.id

    @property
    def status(self) -> str:
        """'running', 'done', 'failed', 'cancelled', or 'interrupted' (killed: resume it)."""
        if self.record.status == "running" and not _held(self.folder):
            return "interrupted"
        return self.record.status

    @property
    def recipe(self) -> Recipe:
        """The recipe as it ran."""
        return Recipe.load(self.folder / "recipe.yaml")

    @property
    def outcomes(self) -> list[Outcome]:
        """What each step did, in order; nothing before the run is done."""
        path = self.folder / "outcomes.json"
        if not path.exists():
            return []
        return [Outcome(**outcome) for outcome in json.loads(path.read_text(encoding="utf-8"))]

    @property
    def cost(self) -> dict[str, float]:
        """Seconds and rows of the steps, tokens through models, US dollars if they are known."""
        return dict(self.record.cost)

    @property
    def report(self) -> Path:
        """The run's page."""
        return self.folder / "report.html"

    @property
    def tidied(self) -> bool:
        """Whether `tamis tidy` threw away its steps or its pool; what came out stays."""
        if self.record.pool is None:
            return False
        has_pool = (home() / "pools" / self.record.pool / "pool.arrow").exists()
        return not has_pool or (bool(self.outcomes) and not self._step_files)

    def check_whole(self) -> None:
        """Raise RunError if what its rows were told is no longer, or not yet, there."""
        if self.record.pool is None:
            raise RunError(f"run {self.id}: its pool was not read; tamis run --resume {self.id}")
        if self.tidied:
            raise RunError(
                f"run {self.id}: its pool and steps were tidied away; to have them again: "
                f"tamis run {self.folder / 'recipe.yaml'}"
            )

    @cached_property
    def pool(self) -> Dataset:
        """What was chosen from."""
        self.check_whole()
        assert self.record.pool is not None
        return open_pool(self.record.pool)

    @property
    def rejected(self) -> Dataset:
        """Rows of the pool's files that could not be read."""
        return rejected(self.pool)

    @cached_property
    def step_selections(self) -> list[Selection]:
        """Each step's Selection, over the rows that the step before kept."""
        return [Selection.load(path) for path in self._step_files]

    @cached_property
    def step_verdicts(self) -> list[Selection]:
        """The same without signals, which are most of what would be read."""
        return [*spread(partial(Selection.load, signals=False), self._step_files)]

    @cached_property
    def step_counts(self) -> list[dict[str, int]]:
        """How many rows each step gave each reason, most frequent first."""
        return [*spread(Selection.counts_in, self._step_files)]

    @property
    def _step_files(self) -> list[Path]:
        return sorted((self.folder / "steps").glob("*.parquet"))

    @property
    def selection(self) -> Selection:
        """The steps' Selections as one, over the pool."""
        self.check_whole()
        if not self.step_selections:
            raise RunError(f"run {self.id}: no step is done; tamis run --resume {self.id}")
        return joined(self.step_selections)

    @cached_property
    def dataset(self) -> Dataset:
        """The curated set, best first."""
        path = self.folder / "curated.parquet"
        if not path.exists():
            raise RunError(
                f"run {self.id}: {self.status}, nothing is curated; tamis run --resume {self.id}"
            )
        return load(path, progress=False)

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.status}>"


def runs() -> list[Run]:
    """Return every run, newest first."""
    return [Run(record.run_id, record) for record in reversed(catalog.runs())]


def find(name: str) -> Run:
    """Return the run called `name`: an id, the start of one, or 'last'.

    Raises
    ------
    RunError
        If there is none, or more than one.
    """
    known = runs()
    if name == "last" and known:
        return known[0]
    matching = [run for run in known if run.id == name] or [
        run for run in known if name and run.id.startswith(name)
    ]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise RunError(f"run {name}: {len(matching)} runs start so; give more of the id")
    mend = (
        did_you_mean(name, [run.id for run in known]) if known else "none ran here yet: tamis demo"
    )
    raise RunError(f"run {name}: not in {home()}; {mend}")


def new_id(recipe: str, mark: str | None = None) -> str:
    """Return an id for a run that begins now: it sorts by time and tells the recipe's name.

    Its end is `mark`, by which `marked` finds the run again; by default it is drawn.
    """
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{_slug(recipe)}-{mark or secrets.token_hex(2)}"


def marked(mark: str) -> str | None:
    """Return the id of the run that ends in `mark`, if there is one."""
    found = (run.id for run in runs() if run.id.endswith(f"-{mark}"))
    return next(found, None)


@contextmanager
def recorded(recipe: Recipe, run_id: str) -> Iterator[Run]:
    """Hold the run's folder, and record that it runs, and how it ends if it does not end well.

    Raises
    ------
    RunError
        If another process is running it.
    """
    earlier = next((known.cost for known in catalog.runs() if known.run_id == run_id), {})
    record = RunRecord(
        run_id=run_id,
        recipe=recipe.name,
        status="running",
        started=datetime.now(UTC),
        seed=recipe.seed,
        settings=recipe.as_yaml(),
        versions={"tamis": tamis.__version__, **{name: version(name) for name in _VERSIONED}},
        cost=earlier,  # of a try that did not end
    )
    run = Run(run_id, record)
    run.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run.folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"run {run_id}: another process is running it; wait for it") from None
    try:
        with written_aside(run.folder / "recipe.yaml") as aside:
            aside.write_text(recipe.as_yaml(), encoding="utf-8")
        _record(record)
        with counting() as spent:
            run = replace(run, spent=spent)
            try:
                yield run
            except BaseException as error:
                # Ctrl-C, and the signal by which Prefect cancels, are no Exceptions.
                status = "failed" if isinstance(error, Exception) else "cancelled"
                note(run_id, status=status, cost=_cost(run), error=_line(error))
                raise
    finally:
        lock.release()


def note(run_id: str, **known: Any) -> None:  # noqa: ANN401 - fields of a RunRecord
    """Record what is now known of a run."""
    record = find(run_id).record
    if "status" in known:
        known["finished"] = datetime.now(UTC)
    _record(replace(record, **known))


def write_texts(pool: Dataset) -> None:
    """Lay the texts of a pool where SQL finds them."""
    examples = home() / "pools" / pool_key(pool) / "examples.parquet"
    if not examples.exists():
        write_examples(pool, examples)


def write_step(run: Run, step: PlannedStep) -> None:
    """Lay the step's Selection in the run's folder, where the catalogue's views look."""
    path = run.folder / "steps" / f"{step.number:02}-{step.selector.name}.parquet"
    with written_aside(path) as aside:
        try:
            os.link(step.path, aside)
        except OSError:  # another file system, or one without links
            shutil.copyfile(step.path, aside)


def write_curated(run: Run, pool: Dataset, steps: Sequence[PlannedStep]) -> int:
    """Write the curated set; return its rows."""
    for stale in (run.folder / "steps").glob("*.parquet"):
        stale.unlink()
    for step in steps:
        write_step(run, step)
    kept = Selection.load(steps[-1].path, signals=False)
    tables = kept.kept_rows(given(pool, steps[:-1]))
    first = next(tables)
    schema = Dataset(first).features.arrow_schema
    save_tables(chain([first], tables), schema, run.folder / "curated.parquet")
    return len(kept)


def write_outcomes(run: Run, outcomes: Sequence[Outcome]) -> None:
    """Record what each step did, and that the run is done."""
    with written_aside(run.folder / "outcomes.json") as aside:
        aside.write_text(json.dumps([asdict(outcome) for outcome in outcomes]), encoding="utf-8")
    fresh = [outcome for outcome in outcomes if not outcome.reused]
    cost = {
        "seconds": sum(outcome.seconds for outcome in fresh),
        "rows": sum(outcome.rows for outcome in fresh),
    }
    note(run.id, status="done", cost=cost | _cost(run), error=None)


def _cost(run: Run) -> dict[str, float]:
    """Return what models did for the run, earlier tries included; no money if it is not known."""
    earlier, spent = run.record.cost, run.spent
    cost: dict[str, float] = {"tokens": earlier.get("tokens", 0) + spent.tokens}
    if spent.money is not None and (not earlier or "money" in earlier):
        cost["money"] = earlier.get("money", 0.0) + spent.money
    return cost


def _slug(name: str) -> str:
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    return kept.strip("-").lower()[:40] or "run"


def _record(record: RunRecord) -> None:
    """Write a run's record; an index that another program holds must not stop the run."""
    try:
        catalog.record_run(record)
    except CatalogError as error:
        warnings.warn(f"{error}; the run goes on, and is recorded in its folder", stacklevel=2)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _held(folder: Path) -> bool:
    """Say whether a process holds the run: a killed one holds nothing."""
    try:
        with FileLock(folder / "lock", timeout=0):
            return False
    except Timeout:
        return True
