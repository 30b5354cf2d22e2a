"""`tamis explain`: why a row is in or out."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from tamis.cli.app import AsJson, RunId, command
from tamis.cli.screen import out, print_json, print_table, short, value_text


@command("tamis explain last 1a2b3c4d")
def explain(
    run_id: RunId,
    example_id: Annotated[str, typer.Argument(help="An id, or enough of its start.")],
    as_json: AsJson = False,
) -> None:
    """Say why a row is in or out."""
    from tamis.pipelines.explain import explain as explained
    from tamis.pipelines.runs import find

    found = explained(find(run_id), example_id)
    if as_json:
        print_json(asdict(found))
        return
    out.print(f"[bold]{found.example_id}[/] is {'kept' if found.kept else 'not kept'}")
    out.print(escape(short(found.prompt or found.text, 300)))
    if found.response:
        out.print("→ " + escape(short(found.response, 300)))
    print_table(
        "",
        ["step", "verdict", "score", "signals"],
        [
            [
                f"{verdict.step} {verdict.method}",
                verdict.reason + (f" (rank {verdict.rank:,})" if verdict.rank else ""),
                f"{verdict.score:.4g}",
                ", ".join(f"{name} {value_text(value)}" for name, value in verdict.signals.items()),
            ]
            for verdict in found.verdicts
        ],
    )
