"""`tamis export`: a run's curated set, for others."""

from typing import Annotated

import typer

from tamis.cli.app import AsJson, RunId, command
from tamis.cli.screen import out, print_json


@command("tamis export last --to kept/ --format messages")
def export(
    run_id: RunId,
    to: Annotated[str, typer.Option("--to", help="A file, or a folder.")],
    form: Annotated[
        str, typer.Option("--format", help="alpaca, messages, sharegpt, prompt-completion, text.")
    ] = "parquet",
    as_json: AsJson = False,
) -> None:
    """Publish the curated set of a run."""
    from tamis.pipelines.export import export_run
    from tamis.pipelines.runs import find

    path, rows = export_run(find(run_id), to, form)
    if as_json:
        print_json({"path": str(path), "rows": rows})
    else:
        out.print(f"{rows:,} rows: {path}", soft_wrap=True)
