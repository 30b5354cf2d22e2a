"""`tamis forget`: a row leaves every file that was made of it."""

from dataclasses import asdict
from typing import Annotated

import typer

from tamis.cli.app import AsJson, command
from tamis.cli.screen import out, print_json, print_table, short
from tamis.errors import SettingError


@command('tamis forget --text "ada@lovelace.org" --yes')
def forget(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Ids, or enough of their start.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Every row that holds this.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; else only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete rows on request, from every file made of them."""
    from tamis.pipelines.forget import find_rows
    from tamis.pipelines.forget import forget as forget_rows

    if not ids and not text:
        raise SettingError("tamis forget takes an ID, or --text TEXT; give one of them")
    rows = find_rows(ids or (), text)
    done = forget_rows(rows, text) if yes else None
    if as_json:
        print_json({"rows": [row.example_id for row in rows], "done": done and asdict(done)})
        return
    if done is None:
        print_table(
            f"{len(rows):,} rows would be forgotten",
            ["id", "source", "prompt", "response"],
            [
                [row.example_id[:8], row.source, short(row.prompt or row.text, 60),
                 short(row.response, 60)]
                for row in rows
            ],
        )  # fmt: skip
        out.print("Do it with --yes; nothing brings them back.")
        return
    out.print(
        f"{len(done.ids):,} rows forgotten: {done.files:,} files and {done.features:,} values of "
        f"models changed, in {len(done.runs):,} runs",
        soft_wrap=True,
    )
    for run_id in done.runs:
        out.print(f"  tamis report {run_id}", soft_wrap=True)
    for place in done.published:
        out.print(f"Out of reach, and has such a row: {place}; export again", soft_wrap=True)
