"""`tamis diff`: what changed between two runs."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tamis.cli.account import grouped
from tamis.cli.app import AsJson, command
from tamis.cli.screen import out, print_json, print_table, short

if TYPE_CHECKING:
    import pyarrow as pa

Older = Annotated[str, typer.Argument(metavar="RUN_A", help="The earlier run.")]
Newer = Annotated[str, typer.Argument(metavar="RUN_B", help="The later run, or 'last'.")]


@command("tamis diff 20260101-0300 last")
def diff(
    run_a: Older,
    run_b: Newer,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="A file for every row that changed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which rows came in, which left, and why."""
    import pyarrow as pa
    from datasets import Dataset

    from tamis.data.save import save
    from tamis.pipelines.diff import diff as difference
    from tamis.pipelines.runs import find

    found = difference(find(run_a), find(run_b))
    if output:
        sides = [
            side.append_column("change", pa.array([name] * len(side)))
            for name, side in (("came", found.came), ("left", found.left))
        ]
        save(Dataset(pa.concat_tables(sides)), output)
    if as_json:
        print_json(
            {
                "before": found.before,
                "after": found.after,
                "stayed": found.stayed,
                "pool_came": found.pool_came,
                "pool_left": found.pool_left,
                "came": found.came.to_pylist(),
                "left": found.left.to_pylist(),
            }
        )
        return
    out.print(
        f"{escape(found.before)} to {escape(found.after)}: {found.stayed:,} stayed, "
        f"{len(found.came):,} came in, {len(found.left):,} left; "
        f"in the pool {found.pool_came:,} new, {found.pool_left:,} gone",
        soft_wrap=True,
    )
    _print_side("Came in", "because before", found.came, found.counts()["came"])
    _print_side("Left", "because now", found.left, found.counts()["left"])


def _print_side(title: str, why: str, rows: "pa.Table", counts: dict[str, int]) -> None:
    if not len(rows):
        return
    reasons = grouped(counts).items()
    print_table(title, ["rows", why], [[f"{count:,}", reason] for reason, count in reasons])
    print_table(
        "",
        ["id", "reason", "prompt", "response"],
        [
            [
                row["example_id"][:8],
                short(row["reason"], 50),
                short(row["prompt"] or row["text"], 50),
                short(row["response"], 50),
            ]
            for row in rows.slice(0, 5).to_pylist()
        ],
    )
