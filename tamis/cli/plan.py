"""`tamis plan`: what a recipe would do and cost."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from tamis.cli.app import AsJson, K, Pool, RecipeName, Set, Target, budget_of, command, settings_of
from tamis.cli.screen import duration, out, print_json, print_table
from tamis.errors import SettingError

if TYPE_CHECKING:
    from tamis.pipelines.plan import StepCost


@command("tamis plan curate --pool pool.jsonl --target wanted.jsonl")
def plan(
    recipe: RecipeName,
    pool: Pool = None,
    target: Target = None,
    k: K = None,
    settings: Set = None,
    as_json: AsJson = False,
) -> None:
    """Say what a recipe would do and cost, before anything is spent."""
    from tamis.data.load import load
    from tamis.pipelines.plan import plan as planned
    from tamis.pipelines.recipe import Recipe

    read = Recipe.load(
        recipe, k=budget_of(k), settings=settings_of(settings), pool=pool, target=target
    )
    if read.pool is None:
        raise SettingError(f"recipe {read.name} names no pool; give --pool FILE")
    rows = load(read.pool, format=read.format, columns=read.columns, strict=read.strict)
    expected = planned(read, rows)
    if as_json:
        print_json({**asdict(expected), "seconds": expected.seconds})
        return
    print_table(
        f"{expected.recipe}: {expected.rows:,} rows, tried on {expected.sample_rows:,}",
        ["step", "rows", "kept", "time", "memory", "tokens", "money"],
        [
            [
                f"{step.number} {step.method}",
                f"{step.rows:,}",
                f"~{step.kept:,}",
                _time(step),
                f"{step.memory_bytes / 1e6:,.0f} MB",
                f"{step.tokens:,}",
                "no prices" if step.money is None else f"${step.money:.2f}",
            ]
            for step in expected.steps
        ],
    )
    served = any(step.seconds is None for step in expected.steps)
    more = ", and what the servers take" if served else ""
    out.print(f"In all about {duration(expected.seconds)} with one worker{more}.")


def _time(step: "StepCost") -> str:
    if step.done:
        return "done already"
    return "the server's" if step.seconds is None else duration(step.seconds)
