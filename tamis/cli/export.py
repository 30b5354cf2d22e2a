"""`tamis export`: a run's curated set, for others."""

from dataclasses import asdict
from typing import Annotated

import typer

from tamis.cli.app import AsJson, RunId, command
from tamis.cli.screen import out, print_json


@command("tamis export last --to hf://me/curated --format messages")
def export(
    run_id: RunId,
    to: Annotated[str, typer.Option("--to", help="A file, a folder, or hf://OWNER/NAME.")],
    form: Annotated[
        str, typer.Option("--format", help="alpaca, messages, sharegpt, prompt-completion, text.")
    ] = "parquet",
    allow: Annotated[
        list[str] | None, typer.Option(metavar="LICENCE", help="Rows of others stay behind.")
    ] = None,
    mask: Annotated[
        bool | None, typer.Option("--mask/--no-mask", help="Mask personal data.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="On the hub; else private.")] = False,
    test: Annotated[float, typer.Option(metavar="SHARE", help="On the hub: a test split.")] = 0.0,
    language: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="For the hub's card, such as en.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Publish the curated set of a run: in files, or on the hub."""
    from tamis.pipelines.export import export_run
    from tamis.pipelines.runs import find

    done = export_run(
        find(run_id),
        to,
        form,
        allow=allow,
        mask=mask,
        private=not public,
        test=test,
        languages=language or (),
    )
    if as_json:
        print_json({"path": done.where, **asdict(done)})
        return
    held = f"; {done.left_out:,} held back by their licence" if done.left_out else ""
    out.print(f"{done.rows:,} rows: {done.where}{held}", soft_wrap=True)
