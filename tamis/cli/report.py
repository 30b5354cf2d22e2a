"""`tamis report`: the page of a run."""

import webbrowser
from typing import Annotated

import typer

from tamis.cli.app import AsJson, RunId, command
from tamis.cli.screen import out, print_json


@command("tamis report last --open")
def report(
    run_id: RunId,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the page of a run."""
    from tamis.pipelines.runs import find
    from tamis.report.of_run import write_run_report

    page = write_run_report(find(run_id))
    if open_:
        webbrowser.open(page.as_uri())
    if as_json:
        print_json({"report": str(page)})
    else:
        out.print(str(page), soft_wrap=True)
