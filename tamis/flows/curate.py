"""The flow `curate`: load a pool, run the recipe's steps, write what is kept and why.

What passes between tasks is text and keys, never rows: rows lie in files. A step's task is
cached by the step's key, which is a digest of the content it works on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.concurrency.sync import concurrency
from prefect.runtime import flow_run
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.tasks import exponential_backoff

from tamis.data.batches import LocalEngine, using
from tamis.data.files import home
from tamis.data.hub import may_pass
from tamis.data.ids import example_ids
from tamis.data.load import Source, load
from tamis.data.pools import file_of, open_pool, pool_key, stored
from tamis.data.progress import quiet
from tamis.errors import RecipeError, TamisError
from tamis.flows.artifacts import publish
from tamis.flows.compare import run_trials
from tamis.flows.server import connected
from tamis.kernels.threads import yield_to_others
from tamis.pipelines import runs
from tamis.pipelines.compare import designed_for
from tamis.pipelines.engines import engine_of, opened
from tamis.pipelines.export import export_run
from tamis.pipelines.generation import generated
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.runs import Run
from tamis.pipelines.steps import Outcome, PlannedStep, planned_steps
from tamis.pipelines.steps import run_step as run_planned
from tamis.pipelines.tidy import tidy
from tamis.report.of_run import write_run_report
from tamis.selectors.base import Budget

__all__ = ["CARDS", "curate", "run"]

CARDS = "tamis-cards"
"""The limit on steps that use a model at once: as many as there are cards, if it was set."""

_LEASE_SECONDS = 60  # the shortest that the server grants; 300 if nothing is said


def run(
    recipe: str | Path | Recipe,
    *,
    pool: Source | None = None,
    target: Source | None = None,
    k: Budget = None,
    settings: dict[str, object] | None = None,
    resume: str | None = None,
    engine: str | None = None,
    workers: int = 1,
    progress: bool = True,
) -> Run:
    """Run a recipe as a Prefect flow, and return the finished run.

    A step whose result is there already, from this run or another, is not done again.

    Parameters
    ----------
    recipe : str, Path or Recipe
        A file, or the name of a shipped recipe.
    pool, target : optional
        Instead of the recipe's: anything `tamis.load` takes.
    k : int or float, optional
        Instead of the last step's own.
    settings : dict, optional
        Instead of the recipe's: {'deduplicate.near': 0.9, 'seed': 1}.
    resume : str, optional
        The id of a run to go on with; its recipe is the one it began with.
    engine : str, optional
        Instead of the recipe's: 'local', 'ray' (the cluster that RAY_ADDRESS names, or one of
        its own on this machine) or 'ray:ADDRESS'; never changes who is chosen.
    workers : int
        Threads a step, or processes of a Ray of its own; never changes who is chosen.
    progress : bool
        Draw progress bars on stderr, when that is a terminal.

    Raises
    ------
    RecipeError, DataError, BudgetError, RunError
    """
    if resume is not None:
        resumed = runs.find(resume)
        resume, recipe = resumed.id, resumed.recipe
    if not isinstance(recipe, Recipe):
        recipe = Recipe.load(
            recipe, k=k, settings=settings, pool=_as_text(pool), target=_as_text(target)
        )
    if engine is not None:
        recipe = recipe.model_copy(update={"engine": engine})
    engine_of(recipe.engine)
    recipe.selectors()
    recipe.generator()
    if recipe.pool is None:
        raise RecipeError(f"{recipe.name}: no pool; add `pool: FILE`, or give --pool FILE")
    run_id = resume or runs.new_id(recipe.name)
    results = {PREFECT_LOCAL_STORAGE_PATH: home() / "prefect"}
    with connected(), temporary_settings(updates=results):
        curate(recipe, run_id, workers, progress)
    return runs.find(run_id)


def _worth_another_try(task: object, task_run: object, state: Any) -> bool:  # noqa: ANN401
    """Say whether a failure may pass by itself: bad data, and a defect, never do."""
    try:
        state.result()
    except TamisError as error:
        return error.retryable
    except Exception as error:
        return isinstance(error, OSError) or may_pass(error)
    return False


@contextmanager
def _card(step: PlannedStep) -> Iterator[None]:
    """Hold one of the cards while a step uses a model; without a limit there is always one.

    Held for a minute, again and again: so long is a card missed that a killed step held.
    """
    if not step.selector.asks_models:
        yield
        return
    with concurrency(CARDS, lease_duration=_LEASE_SECONDS):
        yield


@task(
    name="generate",
    task_run_name="generate the pool",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=_worth_another_try,
    persist_result=False,
)
def generate(recipe: Recipe, run_id: str, progress: bool) -> str:
    """Make the pool, going on with what was made before; return the file it is in."""
    return str(generated(recipe, runs.find(run_id), progress=progress))


@task(
    name="load",
    task_run_name="load the pool",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=_worth_another_try,
    persist_result=False,
)
def load_pool(recipe: Recipe, run_id: str, progress: bool) -> str:
    """Read the pool into Arrow, unless its content is there already; return its key."""
    pool = load(
        recipe.pool,
        format=recipe.format,
        columns=recipe.columns,
        strict=recipe.strict,
        progress=progress,
    )
    whole = stored(pool)
    runs.note(run_id, pool=pool_key(whole))
    return pool_key(whole)


@task(name="texts", task_run_name="lay the texts where SQL finds them", persist_result=False)
def lay_texts(pool: str) -> None:
    """Write what the catalogue tells of the pool's rows, unless it is there already."""
    rows = open_pool(pool)
    example_ids(rows)  # for which the first step would have to wait
    yield_to_others()
    runs.write_texts(rows)


@task(
    name="step",
    task_run_name="step {number}: {method}",
    cache_key_fn=lambda _, inputs: f"tamis-{inputs['key']}",
    result_serializer="json",
    persist_result=True,
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=5),
    retry_jitter_factor=0.5,
    retry_condition_fn=_worth_another_try,
)
def run_step(
    key: str, number: int, method: str, recipe: Recipe, pool: str, workers: int, progress: bool
) -> dict[str, Any]:
    """Run one step on what the steps before it kept; return what it did."""
    rows = open_pool(pool)
    with quiet(not progress), using(engine_of(recipe.engine, workers=workers)):
        steps = planned_steps(recipe, rows)
        step = steps[number - 1]
        with _card(step):
            return asdict(run_planned(step, rows, steps[: number - 1]))


@task(name="write", task_run_name="write the curated set", persist_result=False)
def write(recipe: Recipe, run_id: str, pool: str) -> int:
    """Write the curated set; return how many rows it has."""
    rows = open_pool(pool)
    return runs.write_curated(runs.find(run_id), rows, planned_steps(recipe, rows))


@task(
    name="export",
    task_run_name="export to {to}",
    persist_result=False,
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=10),
    retry_jitter_factor=0.5,
    retry_condition_fn=_worth_another_try,
)
def export(run_id: str, to: str) -> str:
    """Write the curated set to a file or the hub, as the recipe says; return where it is."""
    return export_run(runs.find(run_id), to).where


@task(name="report", task_run_name="write the report", persist_result=False)
def report(run_id: str, workers: int) -> str:
    """Write the run's page; return its path."""
    with using(LocalEngine(workers=workers)):
        return str(write_run_report(runs.find(run_id)))


def _run_id() -> str:
    """Return the id of the run that this flow run makes, or goes on with.

    A flow run that Prefect started has none given: its id then ends in the flow run's own, so
    that the same flow run, tried again, goes on with what it began.
    """
    given = flow_run.parameters
    if given.get("run_id"):
        return str(given["run_id"])
    recipe = given["recipe"]  # what the server holds of it, before it is made a Recipe
    name = recipe.name if isinstance(recipe, Recipe) else str(recipe["name"])
    return _id_of(str(flow_run.id).replace("-", "")[:12], name)


@cache
def _id_of(mark: str, recipe: str) -> str:
    return runs.marked(mark) or runs.new_id(recipe, mark)


@flow(name="curate", flow_run_name=_run_id)
def curate(
    recipe: Recipe,
    run_id: str | None = None,
    workers: int = 1,
    progress: bool = False,
    keep: int | None = None,
) -> None:
    """Curate a pool by a recipe.

    Parameters
    ----------
    recipe : Recipe
    run_id : str, optional
        The run to go on with; by default a new one.
    workers : int
        Threads a step; never changes who is chosen.
    progress : bool
        Draw progress bars.
    keep : int, optional
        Tidy afterwards: the newest so many runs of each recipe keep all their files
        (`tamis tidy`).
    """
    run_id = run_id or _run_id()
    parsed = Recipe.parse(recipe.as_yaml(), "recipe")
    with runs.recorded(parsed, run_id) as run, opened(parsed.engine, workers=workers):
        source = parsed
        if parsed.generate is not None:
            made = {"pool": generate(parsed, run_id, progress), "format": None, "columns": None}
            source = parsed.model_copy(update=made)
        pool = load_pool(source, run_id, progress)
        texts = lay_texts.submit(pool)  # beside the steps, which do not read them
        outcomes = []
        for step in planned_steps(parsed, open_pool(pool)):
            reused = step.done
            # Prefect may remember a result whose file is gone: then it must not be believed.
            once = run_step if reused else run_step.with_options(refresh_cache=True)
            did = once(step.key, step.number, step.selector.name, parsed, pool, workers, progress)
            outcomes.append(replace(Outcome(**did), reused=reused))
        write(parsed, run_id, pool)
        for to in parsed.export:
            export(run_id, to)
        if parsed.compare is not None:
            design = designed_for(parsed, open_pool(pool), outcomes[-1].kept)
            run_trials(design, run_id, workers=workers, progress=progress)
        texts.result()
        runs.write_outcomes(run, outcomes)
        publish(run_id, outcomes, report(run_id, workers))
    if keep is not None:
        tidy(keep)


def _as_text(source: Source | None) -> str | None:
    """Return a source as the text a recipe can hold; rows in memory are written down first."""
    if source is None or isinstance(source, str | Path):
        return None if source is None else str(source)
    return str(file_of(stored(source)))
