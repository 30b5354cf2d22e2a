"""A run, said to a person: its steps, the best of what it kept, what to try next."""

from dataclasses import asdict
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from tamis.cli.screen import duration, out, print_json, print_table, short

if TYPE_CHECKING:
    from tamis.pipelines.runs import Run

__all__ = ["grouped", "run_facts", "show_run"]


def show_run(run: "Run", as_json: bool) -> None:
    """Print a run: its steps, the best of what it kept, and what to try next."""
    from tamis.pipelines.generation import account

    if as_json:
        print_json(run_facts(run))
        return
    kept = f"{run.outcomes[-1].kept:,} of {run.outcomes[0].rows:,} kept" if run.outcomes else ""
    rejected = _rejected(run)
    set_aside = f"; {rejected:,} rows could not be read" if rejected else ""
    out.print(f"[bold]{run.id}[/] {run.status} {kept}{set_aside}", soft_wrap=True)
    if told := account(run):
        refused = sum(told["refused"].values())
        out.print(
            f"generated: {told['tasks']:,} tasks, {refused:,} refused, {told['requests']:,} "
            f"requests; why and what: {escape(told['folder'])}",
            soft_wrap=True,
        )
    if run.record.error:
        out.print(escape(run.record.error), soft_wrap=True)
    if run.outcomes:
        print_table(
            "",
            ["step", "rows", "kept", "time", "dropped because"],
            [
                [
                    f"{outcome.number} {outcome.method}",
                    f"{outcome.rows:,}",
                    f"{outcome.kept:,}",
                    "reused" if outcome.reused else duration(outcome.seconds),
                    "\n".join(_dropped(counts or {})),
                ]
                for outcome, counts in zip_longest(run.outcomes, run.step_counts)
            ],
        )
    if run.status != "done":
        out.print(f"Go on with: tamis run --resume {run.id}", soft_wrap=True)
        return
    _show_best(run)
    first = run.dataset[0]["tamis_id"][:8]
    out.print(f"Report: {run.report}", soft_wrap=True)
    if run.tidied:
        out.print("Its pool and steps were tidied away; what it kept is there.")
    out.print("Next:")
    if not run.tidied:
        out.print(f"  tamis explain {run.id} {first}", soft_wrap=True)
        out.print('  tamis sql "SELECT reason, count(*) FROM selections GROUP BY ALL"')
    out.print(f"  tamis export {run.id} --to out/curated.jsonl --format messages", soft_wrap=True)


def _show_best(run: "Run") -> None:
    from tamis.data import formats

    best = run.dataset.select(range(min(3, len(run.dataset)))).with_format("arrow")[:]
    said = formats.fields(best)
    print_table(
        "The best of the kept",
        ["id", "score", "prompt", "response"],
        [
            [example_id[:8], f"{score:.3g}", short(prompt or text, 60), short(response, 60)]
            for example_id, score, prompt, response, text in zip(
                best["tamis_id"].to_pylist(),
                best["tamis_score"].to_pylist(),
                *(column.to_pylist() for column in said),
                strict=True,
            )
        ],
    )


def run_facts(run: "Run") -> dict[str, Any]:
    """Return what is to be said of a run, as JSON values."""
    from tamis.pipelines.generation import account

    return {
        "run": run.id,
        "recipe": run.record.recipe,
        "status": run.status,
        "started": run.record.started,
        "finished": run.record.finished,
        "seed": run.record.seed,
        "error": run.record.error,
        "rejected": _rejected(run),
        "generated": account(run),
        "cost": run.cost,
        "steps": [asdict(outcome) for outcome in run.outcomes],
        "report": str(run.report) if run.report.exists() else None,
    }


def _rejected(run: "Run") -> int | None:
    """Return how many rows could not be read; None where the pool was tidied away."""
    if run.tidied:
        return None
    return len(run.rejected) if run.record.pool else 0


def _dropped(counts: dict[str, int]) -> list[str]:
    """Return the most frequent reasons of a step, with their counts."""
    kinds = grouped(counts).items()
    return [f"{count:,} {short(reason, 60)}" for reason, count in kinds if reason != "kept"][:4]


def grouped(counts: dict[str, int]) -> dict[str, int]:
    """Join reasons that differ only in their figures: what stands before the colon counts."""
    grouped: dict[str, int] = {}
    for reason, count in counts.items():
        kind = reason.partition(":")[0].partition(" of ")[0]
        grouped[kind] = grouped.get(kind, 0) + count
    return dict(sorted(grouped.items(), key=lambda item: -item[1]))
