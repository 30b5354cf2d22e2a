"""`tamis ui`: a window on the catalogue, in a browser."""

from typing import Annotated

import typer

from tamis.cli.app import command


@command("tamis ui --open")
def ui(
    host: Annotated[
        str, typer.Option(help="Where it listens; elsewhere than here it asks for a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any.")] = 8585,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """Look at runs, rows and maps of pools in a browser, until stopped."""
    from tamis.ui.app import serve

    serve(host=host, port=port, browse=open_)
