"""`tamis tidy`: free the disk of what no recent run needs."""

from dataclasses import asdict
from typing import Annotated

import typer

from tamis.cli.app import AsJson, command
from tamis.cli.screen import out, print_json


@command("tamis tidy --keep 7 --dry-run")
def tidy(
    keep: Annotated[
        int, typer.Option(min=1, help="Finished runs of each recipe that keep all files.")
    ] = 7,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Free the disk of pools and verdicts that only old runs need."""
    from tamis.pipelines.tidy import tidy as tidied

    gone = tidied(keep, dry_run=dry_run)
    if as_json:
        print_json(asdict(gone))
        return
    out.print(
        f"{'Would free' if dry_run else 'Freed'} {gone.bytes / 1e6:,.1f} MB: {gone.pools:,} pools, "
        f"{gone.steps:,} step results, the steps of {len(gone.runs):,} runs",
        soft_wrap=True,
    )
