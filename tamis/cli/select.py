"""`tamis select`: one method, no recipe."""

from typing import Annotated

import typer
from rich.markup import escape

from tamis.cli.account import grouped
from tamis.cli.app import CPUS, AsJson, K, Set, Strict, Workers, budget_of, command, settings_of
from tamis.cli.screen import out, print_json, print_table


@command("tamis select dsir pool.jsonl --target wanted.jsonl -k 1000 -o kept.parquet")
def select(
    method: Annotated[str, typer.Argument(help="A method; see `tamis doctor` for the list.")],
    pool: Annotated[str, typer.Argument(help="The data to choose from.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Where the kept rows go.")],
    target: Annotated[str | None, typer.Option(help="A few examples of what you want.")] = None,
    k: K = None,
    seed: Annotated[int, typer.Option(help="Of the draw, where the method draws.")] = 0,
    settings: Set = None,
    verdicts: Annotated[
        str | None, typer.Option(help="Parquet file for the score and reason of every row.")
    ] = None,
    strict: Strict = False,
    workers: Workers = CPUS,
    as_json: AsJson = False,
) -> None:
    """Run one method, no recipe."""
    from tamis.data.load import load, rejected
    from tamis.data.save import save
    from tamis.selectors.configure import configured

    selector = configured(method, settings_of(settings), {"target": target, "seed": seed})
    rows = load(pool, strict=strict)
    picked = selector.select(rows, budget_of(k), workers=workers)
    save(picked.apply(rows), output)
    if verdicts:
        picked.save(verdicts)
    reasons = grouped(picked.counts())
    facts = {
        "method": repr(selector),
        "rows": len(rows),
        "rejected": len(rejected(rows)),
        "kept": len(picked),
        "seconds": round(picked.seconds, 3),
        "reasons": reasons,
        "output": output,
    }
    if as_json:
        print_json(facts)
        return
    print_table(
        f"{method}: {len(picked):,} of {len(rows):,} kept",
        ["reason", "rows"],
        [[reason, f"{count:,}"] for reason, count in reasons.items()],
    )
    out.print(f"Kept rows: {escape(output)}", soft_wrap=True)
