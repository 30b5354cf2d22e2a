"""`tamis serve`: run what is due, or compress prompts on their way to a server."""

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from tamis.cli.app import command
from tamis.errors import SettingError


@command("tamis serve --proxy http://localhost:8000/v1")
def serve(
    work_pool: Annotated[str, typer.Option(help="Prefect's work pool of processes.")] = "tamis",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Runs, or requests, at a time; more wait or retry.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Of the server it starts; Prefect's 4200, a proxy's 8484.")
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(metavar="UPSTREAM", help="Instead: compress prompts on their way to it."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Where the proxy listens; 127.0.0.1 if not said.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Of requests that name none; llmlingua if not said.")
    ] = None,
    lm: Annotated[str | None, typer.Option(help="The model that reads prompts.")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Whose tokens count: transformers:ID, or a folder.")
    ] = None,
    max_body: Annotated[
        int | None, typer.Option(min=1, metavar="MIB", help="Of a request; 16 if not said.")
    ] = None,
) -> None:
    """Run what a schedule has due, or compress prompts as a proxy.

    With --proxy: an OpenAI-compatible server in front of another. It compresses the prompts
    of requests that ask for it, as by the header 'X-Tamis-Rate: 0.5', passes all else as it
    is, and tells what was saved at /tamis/totals.
    """
    of_proxy = {"host": host, "method": method, "lm": lm, "tokenizer": tokenizer, "port": port,
                "max_requests": limit, "max_bytes": max_body and max_body * 2**20}  # fmt: skip
    said = {name: value for name, value in of_proxy.items() if value is not None}
    if proxy is not None:
        _compress_for(proxy, said)
        return
    if lost := said.keys() - {"port", "max_requests"}:
        names = ", ".join(f"--{name.replace('max_bytes', 'max-body')}" for name in sorted(lost))
        raise SettingError(f"serve: {names} belongs to --proxy UPSTREAM; give that too")
    # Whoever serves wants to see what starts, and what cannot.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    from tamis.flows.deploy import serve as serve_deployments

    serve_deployments(work_pool=work_pool, limit=limit, port=port or 4200)


def _compress_for(upstream: str, said: Mapping[str, Any]) -> None:
    from tamis.prompting.serving import serve as serve_proxy

    def say(address: str) -> None:
        told = f"In front of {upstream}: clients take {address} instead. Ctrl-C ends it."
        Console(stderr=True, highlight=False).print(escape(told), soft_wrap=True)

    serve_proxy(upstream, say=say, **said)
