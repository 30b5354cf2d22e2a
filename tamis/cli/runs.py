"""`tamis runs` and `tamis show`: what ran, and what came out."""

from tamis.cli.account import run_facts, show_run
from tamis.cli.app import AsJson, RunId, command
from tamis.cli.screen import print_json, print_table


@command("tamis runs")
def runs(as_json: AsJson = False) -> None:
    """List what ran, newest first."""
    from tamis.pipelines.runs import runs as all_runs

    known = all_runs()
    if as_json:
        print_json([run_facts(run) for run in known])
        return
    print_table(
        f"{len(known)} runs",
        ["run", "recipe", "status", "started", "kept"],
        [
            [
                run.id,
                run.record.recipe,
                run.status,
                f"{run.record.started:%Y-%m-%d %H:%M}",
                f"{run.outcomes[-1].kept:,}" if run.outcomes else "",
            ]
            for run in known
        ],
    )


@command("tamis show last")
def show(run_id: RunId, as_json: AsJson = False) -> None:
    """Show what came out of a run."""
    from tamis.pipelines.runs import find

    show_run(find(run_id), as_json)
