"""The proxy as an application, and as a server of its own."""

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tamis.errors import MissingExtraError, SettingError
from tamis.prompting.compression import compress, get
from tamis.prompting.serving.passing import Limits, Passing, error, is_local
from tamis.prompting.serving.press import Press
from tamis.prompting.serving.upstream import Upstream

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route
    from starlette.types import Receive, Scope, Send
except ImportError as missing:
    raise MissingExtraError("starlette", "ui") from missing

__all__ = ["proxy", "serve"]

PORT = 8484
MAX_BYTES = 16 * 2**20
MAX_REQUESTS = 256
SILENCE = 600.0
_KEEP_ALIVE = 75  # seconds, longer than clients keep theirs: who hangs up first risks a reset
TOKEN = "TAMIS_TOKEN"


def serve(
    upstream: str,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    say: Callable[[str], None] | None = None,
    **options: Any,  # noqa: ANN401 - those of `proxy`
) -> None:
    """Run a proxy until it is interrupted.

    Parameters
    ----------
    upstream : str
    host : str
        Where it listens. Others than this machine's own need a token.
    port : int
    say : callable, optional
        Told the address, once all is well and the model is loaded.
    **options
        As for `proxy`; `token` is `TAMIS_TOKEN` where it is not given.

    Raises
    ------
    SettingError
        If anyone could use it: the address is open, and there is no token.
    ModelError
        If the compressing model cannot be loaded.
    """
    options.setdefault("token", os.environ.get(TOKEN) or None)
    if not is_local(host) and not options["token"]:
        raise SettingError(
            f"serve: host={host} is open to others; set {TOKEN}, which clients send as "
            "X-Tamis-Token, or listen on 127.0.0.1"
        )
    app = proxy(upstream, **options)
    lent = {name: options[name] for name in ("lm", "tokenizer", "method") if name in options}
    compress("What cannot be loaded is better known now.", rate=0.5, progress=False, **lent)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log what is in addresses
    if say is not None:
        say(f"http://{f'[{host}]' if ':' in host else host}:{port}/v1")
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE,
    )


def proxy(
    upstream: str,
    *,
    lm: Any = "bundled",  # noqa: ANN401 - as `compress` has it
    tokenizer: Any = None,  # noqa: ANN401
    method: str = "llmlingua",
    token: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_requests: int = MAX_REQUESTS,
    timeout: float = SILENCE,
) -> Starlette:
    """Return a proxy as an ASGI application.

    `/v1/…` is passed to the upstream, compressed where that is asked for; `/tamis/totals`
    tells, as JSON, what was done since the start.

    Parameters
    ----------
    upstream : str
        Up to what paths are added to, as in 'http://localhost:8000/v1'.
    lm, tokenizer, method
        As for `compress`. Clients may name another method, no other model.
    token : str, optional
        That clients must send as `X-Tamis-Token`. Without one only clients that ask for
        this machine by a local name are answered, so that no web page can ask.
    max_bytes : int
        Of a request; a longer one is answered with 413.
    max_requests : int
        At work at a time; one more is answered with 503.
    timeout : float
        Seconds of silence, of client or upstream, after which a request is given up.
    """
    get(method)
    lent = {"lm": lm, "tokenizer": tokenizer, "method": method}
    passing = Passing(
        Upstream(upstream, max_requests, timeout),
        Press(**lent),
        Limits(token, max_bytes, max_requests, timeout),
    )

    @asynccontextmanager
    async def alive(_: Starlette) -> AsyncIterator[None]:
        yield
        await passing.upstream.close()

    return Starlette(
        routes=[
            Route("/tamis/totals", passing.totals_page),
            Mount("/v1", app=passing),
            Mount("/", app=_nothing_here),
        ],
        lifespan=alive,
    )


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    where = "nothing is here; the upstream is under /v1, the totals at /tamis/totals"
    await error(404, where)(scope, receive, send)
