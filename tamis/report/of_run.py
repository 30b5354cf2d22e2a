"""The report of a run as it lies in its folder."""

import shlex
from pathlib import Path

from tamis.pipelines import comparisons
from tamis.pipelines.runs import Run
from tamis.pipelines.steps import Outcome
from tamis.report.page import write_report
from tamis.report.view import RunView, StepView

__all__ = ["write_run_report"]


def write_run_report(run: Run) -> Path:
    """Write the page of `run` into its folder, and return its path.

    Raises
    ------
    RunError
        If no step of the run is done, or its pool or steps were tidied away.
    """
    run.check_whole()
    recipe = run.recipe
    record = run.record
    steps = [
        StepView(
            selection=selection,
            settings=outcome.settings,
            seconds=outcome.seconds,
            reused=outcome.reused,
            costs=_costs(outcome),
        )
        for selection, outcome in zip(run.step_verdicts, run.outcomes, strict=True)
    ]
    view = RunView(
        name=record.recipe,
        run_id=run.id,
        status=run.status,
        started=record.started,
        seconds=(record.finished - record.started).total_seconds() if record.finished else None,
        seed=recipe.seed,
        pool_name=recipe.pool or "",
        pool_key=record.pool or "",
        versions=record.versions,
        recipe=recipe.as_yaml(),
        command=f"tamis run {shlex.quote(str(run.folder / 'recipe.yaml'))}",
        pool=run.pool,
        rejected=run.rejected,
        steps=steps,
        error=record.error or "",
        comparison=comparisons.of_run(run.id),
    )
    return write_report(view, run.report)


def _costs(outcome: Outcome) -> dict[str, float]:
    costs = {"tokens": outcome.tokens, "USD": outcome.money}
    return {unit: cost for unit, cost in costs.items() if cost}
