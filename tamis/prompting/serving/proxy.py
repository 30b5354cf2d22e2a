"""The proxy: takes requests, has prompts compressed, and passes all else as it is."""

import asyncio
import hmac
import ipaddress
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tamis.errors import BudgetError, DataError, MissingExtraError, SettingError, TamisError
from tamis.prompting.compression import compress, get
from tamis.prompting.serving.press import Press, Pressed
from tamis.prompting.serving.totals import Totals
from tamis.prompting.serving.upstream import Broken, Upstream
from tamis.prompting.serving.wishes import HEADERS, wish_of

try:
    import anyio
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse
    from starlette.routing import Mount, Route
    from starlette.types import Receive, Scope, Send
except ImportError as error:
    raise MissingExtraError("starlette", "ui") from error

__all__ = ["proxy", "serve"]

PORT = 8484
MAX_BYTES = 16 * 2**20
MAX_REQUESTS = 256
SILENCE = 600.0
TOKEN = "TAMIS_TOKEN"

_log = logging.getLogger("tamis.proxy")


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
    if not _is_local(host) and not options["token"]:
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
    passing = _Passing(
        Upstream(upstream, max_requests, timeout),
        Press(**lent),
        _Limits(token, max_bytes, max_requests, timeout),
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


class _Limits(NamedTuple):
    token: str | None
    max_bytes: int
    max_requests: int
    silence: float


class _Refused(Exception):
    """The proxy answers itself, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Passing:
    """Passes requests on, as an ASGI application."""

    def __init__(self, upstream: Upstream, press: Press, limits: _Limits) -> None:
        self.upstream, self.press, self.limits = upstream, press, limits
        self.totals = Totals()

    async def totals_page(self, request: Request) -> JSONResponse:
        """Tell the totals."""
        try:
            self._admit(request)
        except _Refused as refusal:
            return _error(refusal.status, str(refusal))
        return JSONResponse(self.totals.told())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.totals.requests += 1
        try:
            self._admit(request)
            if self.totals.in_flight >= self.limits.max_requests:
                raise _Refused(503, f"{self.totals.in_flight} requests are at work; try again")
            self.totals.in_flight += 1
            try:
                await self._take(request, send)
            finally:
                self.totals.in_flight -= 1
        except _Refused as refusal:
            self.totals.refused += 1
            again = {"Retry-After": "1"} if refusal.status == 503 else None
            await _error(refusal.status, str(refusal), again)(scope, receive, send)
        except ClientDisconnect:
            self.totals.left += 1

    def _admit(self, request: Request) -> None:
        """Let in who knows the token; without one, who asks for this machine as such."""
        if self.limits.token is not None:
            said = request.headers.get(f"{HEADERS}token", "")
            if not hmac.compare_digest(said.encode(), self.limits.token.encode()):
                raise _Refused(401, "X-Tamis-Token is not the proxy's")
        elif not _is_local(urlsplit(f"//{request.headers.get('host', '')}").hostname or ""):
            raise _Refused(403, "the Host header names another machine; ask for 127.0.0.1")

    async def _take(self, request: Request, send: Send) -> None:
        """Read a request and answer it, or drop it as soon as its client is gone."""
        body = await self._body(request)
        answered = False
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_when_gone, request.receive, group.cancel_scope)
            await self._answer(request, body, send)
            answered = True
            group.cancel_scope.cancel()
        self.totals.left += not answered

    async def _body(self, request: Request) -> bytes:
        most = self.limits.max_bytes
        too_long = _Refused(413, f"the body has more than {most:,} bytes; send less")
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > most:
            raise too_long
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.silence):
                async for part in request.stream():
                    size += len(part)
                    if size > most:
                        raise too_long
                    parts.append(part)
        except TimeoutError:
            raise _Refused(408, "the body did not come in time") from None
        return b"".join(parts)

    async def _answer(self, request: Request, body: bytes, send: Send) -> None:
        started = False

        async def noting(message: Any) -> None:  # noqa: ANN401 - ASGI's own
            nonlocal started
            started = True
            await send(message)

        try:
            told: dict[str, str] = {}
            pressed = await self._pressed(request, body)
            if pressed is not None:
                body, told = pressed.body, _headers_of(pressed)
            await self.upstream.pass_on(request, body, told, noting)
        except (Broken, _Refused) as trouble:
            self.totals.broken += isinstance(trouble, Broken)
            self.totals.refused += isinstance(trouble, _Refused)
            _log.warning("%s %r: %s", request.method, _path(request), trouble)
            if not started:  # else the connection is cut, as the upstream's was
                await _error(trouble.status, str(trouble))(request.scope, request.receive, send)

    async def _pressed(self, request: Request, body: bytes) -> Pressed | None:
        """Return the request compressed; None where that is not asked for."""
        try:
            wish = wish_of(_path(request), request.headers.items(), body)
            if wish is None:
                return None
            start = time.perf_counter()
            pressed = await self.press.press(wish)
        except (BudgetError, DataError, SettingError) as error:
            raise _Refused(400, str(error)) from None
        except TamisError as error:
            raise _Refused(500, f"the compressor failed: {error}") from None
        except Exception as error:
            _log.exception("the compressor failed")
            raise _Refused(500, f"the compressor failed ({type(error).__name__})") from None
        self.totals.add(pressed, time.perf_counter() - start)
        return pressed


async def _cancel_when_gone(receive: Callable[[], Any], scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    where = "nothing is here; the upstream is under /v1, the totals at /tamis/totals"
    await _error(404, where)(scope, receive, send)


def _path(request: Request) -> str:
    """Return the path below /v1/."""
    return str(request.scope["path"]).removeprefix("/v1").strip("/")


def _headers_of(pressed: Pressed) -> dict[str, str]:
    return {
        f"{HEADERS}original-tokens": str(pressed.original_tokens),
        f"{HEADERS}tokens": str(pressed.tokens),
        f"{HEADERS}saved-tokens": str(pressed.original_tokens - pressed.tokens),
    }


def _error(status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error in the form of OpenAI's."""
    told = {"message": f"tamis: {reason}", "type": "tamis_error", "param": None, "code": status}
    return JSONResponse({"error": told}, status, headers)


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
