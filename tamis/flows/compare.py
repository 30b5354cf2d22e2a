"""The flow `compare`: pick, train a proxy and examine it, once for each method, seed and budget.

A trial's task is cached by the trial's key, a digest of all that it depends on: killed and
begun again, or extended with another method or seed, a comparison repeats nothing.
"""

from collections.abc import Sequence
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.utilities.annotations import quote

from tamis.data.batches import LocalEngine, using
from tamis.data.files import home
from tamis.data.load import Source
from tamis.data.progress import progress_bar, quiet
from tamis.errors import RunError
from tamis.flows.server import connected
from tamis.models.proxies import Proxy, TunedLM
from tamis.pipelines import comparisons, runs
from tamis.pipelines.compare import BASELINE, HELD_OUT, Design, Methods, designed
from tamis.pipelines.results import Comparison, Failure
from tamis.pipelines.trials import UNTRAINED, Bench, Trial, Turn, make_pick, run_trial
from tamis.pipelines.tried import tried
from tamis.pipelines.verdicts import concluded

__all__ = ["compare", "run_trials"]


def compare(
    pool: Source,
    target: Source,
    methods: Methods,
    *,
    k: int | Sequence[int] | None = None,
    tokens: int | Sequence[int] | None = None,
    seeds: int = 3,
    draws: int | None = None,
    seed: int = 0,
    proxy: str | Proxy = "bundled",
    epochs: int = 1,
    learning_rate: float | None = None,
    lora: int | None = None,
    test: Source | None = None,
    held_out: int = HELD_OUT,
    near: float = 0.8,
    whole: bool | None = None,
    lm: str | None = None,
    embedder: str | None = None,
    judge: str | None = None,
    workers: int = 1,
    progress: bool = True,
) -> Comparison:
    """Train a proxy on what each method picks, and say which picks beat a random draw.

    Parameters
    ----------
    pool : Dataset, or anything `tamis.load` takes
    target : likewise
        Examples of what the model shall be good at. Half of them, at most `held_out`, are
        held out and examined; the methods see the others alone.
    methods : list or dict
        Names, selectors, or `{name: {setting: value}}`; as a dict, selectors by the name that
        the table shall call them, or functions of a seed and a target that return one. A
        selector in memory is the same under every seed; a target it has is replaced by the
        part of `target` that is not held out.
    k : int or list of int, optional
        Rows that each may pick: several give a curve.
    tokens : int or list of int, optional
        Tokens instead: the best rows that do not pass it. Methods that like long rows gain
        nothing by that then.
    seeds : int
        Trainings of each method at each budget; a method that draws picks anew for each.
    draws : int, optional
        Random draws at each budget; default twice the seeds.
    seed : int
        The first of the seeds.
    proxy : str or Proxy
        What is trained: 'bundled', 'transformers:ID', or anything that is a
        `tamis.models.proxies.Proxy`.
    epochs, learning_rate, lora
        How the proxy is trained; as `tamis.models.tuning.tune` takes them.
    test : Dataset, or anything `tamis.load` takes, optional
        Held-out examples of your own; the methods then see all of the target.
    held_out : int
        Examples examined, at most.
    near : float
        Jaccard similarity of 5-grams from which a row of the pool is too near to the target
        to be picked.
    whole : bool, optional
        Train on the whole pool too; by default where it is at most ten times the budget.
    lm, embedder, judge : str, optional
        For methods that have a setting of that name.
    workers : int
        Threads of a selection; never changes who is picked.
    progress : bool
        Draw a bar on stderr with the time left, when that is a terminal.

    Returns
    -------
    Comparison
        Prints as a table; `.to_pandas()`, `.to_arrow()`, `.plot()`, `.verdicts`, `.overlap`.

    Raises
    ------
    DataError, BudgetError, SettingError
        If the call is wrong.
    RunError
        If every random draw failed.

    Examples
    --------
    A method that fails is named in `.failures`, and the rest stands::

        table = tamis.compare("pool.jsonl", "wanted.jsonl", ["dsir", "ifd"], k=[500, 1000])
        print(table)
    """
    given = TunedLM(proxy, epochs, learning_rate, lora) if isinstance(proxy, str) else proxy
    design = designed(
        pool,
        target,
        methods,
        proxy=given,
        k=k,
        tokens=tokens,
        seeds=seeds,
        draws=draws,
        seed=seed,
        test=test,
        held_out=held_out,
        near=near,
        whole=whole,
        lent={"lm": lm, "embedder": embedder, "judge": judge},
    )
    comparison_id = runs.new_id("compare")
    results = {PREFECT_LOCAL_STORAGE_PATH: home() / "prefect"}
    with connected(), temporary_settings(updates=results):
        compare_flow(quote(design), comparison_id, workers, progress)
    return comparisons.find(comparison_id)


@flow(name="compare", flow_run_name="{comparison_id}", validate_parameters=False)
def compare_flow(design: Any, comparison_id: str, workers: int, progress: bool) -> None:  # noqa: ANN401
    """Do what a design says, and write what came out."""
    run_trials(design, comparison_id, workers=workers, progress=progress)


def run_trials(
    design: Design, comparison_id: str, *, workers: int = 1, progress: bool = True
) -> Comparison:
    """Do every trial of a design, inside a flow; write the comparison, and return it.

    Raises
    ------
    RunError
        If every random draw failed.
    """
    ahead = {turn: _size(turn) for turn in design.turns if not turn.path(design.bench).exists()}

    def picked(turn: Turn, bench: Bench) -> None:
        if turn in ahead and turn.make is not None:
            once = pick if turn.pick_path(bench).exists() else pick.with_options(refresh_cache=True)
            once(turn.pick_key(bench), f"pick: {turn}", quote((turn, bench)), workers)

    def trained(turn: Turn, bench: Bench) -> Trial:
        once = trial.with_options(refresh_cache=True) if turn in ahead else trial
        once(turn.key(bench), str(turn), quote((turn, bench)))
        return run_trial(turn, bench, progress=False)  # reads what the task wrote

    with progress_bar(
        total=sum(ahead.values()), desc="comparing", unit=" rows", progress=progress
    ) as bar:
        trials, failures = tried(
            design, pick=picked, train=trained, told=lambda turn: bar.update(ahead.get(turn, 0))
        )
    _check_draws(trials, failures)
    comparison = concluded(comparison_id, design, trials, failures)
    comparisons.write(comparison)
    _publish(comparison)
    return comparison


@task(
    name="pick",
    task_run_name="{name}",
    cache_key_fn=lambda _, inputs: f"tamis-pick-{inputs['key']}",
    result_serializer="json",
    persist_result=True,
)
def pick(key: str, name: str, given: Any, workers: int) -> dict[str, float]:  # noqa: ANN401
    """Let a method pick; return what it took."""
    turn, bench = given
    with quiet(), using(LocalEngine(workers=workers)):
        done = make_pick(turn, bench)
    return {"rows": len(done.positions), "seconds": done.seconds}


@task(
    name="trial",
    task_run_name="{name}",
    cache_key_fn=lambda _, inputs: f"tamis-{inputs['key']}",
    result_serializer="json",
    persist_result=True,
)
def trial(key: str, name: str, given: Any) -> dict[str, float]:  # noqa: ANN401
    """Train on what was picked; return the loss and what it took."""
    turn, bench = given
    with quiet():
        done = run_trial(turn, bench)
    return {"loss": done.loss, "rows": done.rows, "seconds": done.train_seconds}


def _size(turn: Turn) -> int:
    """How much a trial weighs: what is trained on, in rows or tokens."""
    return turn.amount.count + 1


def _check_draws(trials: Sequence[Trial], failures: Sequence[Failure]) -> None:
    if any(trial.method == BASELINE for trial in trials):
        return
    said = next((one.reason for one in failures if one.method in {BASELINE, UNTRAINED}), "")
    raise RunError(f"compare: no random draw could be trained on: {said}")


def _publish(comparison: Comparison) -> None:
    """Show the table in Prefect's own page."""
    rows: list[dict[str, Any]] = [
        dict(zip(comparison.cells[0], line, strict=True)) for line in comparison.cells[1:]
    ]
    create_table_artifact(
        table=rows, key="tamis-comparison", description=f"Comparison {comparison.id}"
    )
