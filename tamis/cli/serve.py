"""`tamis serve`: run what is due."""

from typing import Annotated

import typer

from tamis.cli.app import command


@command("tamis serve")
def serve(
    work_pool: Annotated[str, typer.Option(help="Prefect's work pool of processes.")] = "tamis",
    limit: Annotated[int | None, typer.Option(min=1, help="Runs at a time.")] = None,
    port: Annotated[int, typer.Option(help="Of the Prefect server that it starts.")] = 4200,
) -> None:
    """Run what is due, on the Prefect server configured or one of its own."""
    from tamis.flows.deploy import serve as serve_deployments

    serve_deployments(work_pool=work_pool, limit=limit, port=port)
