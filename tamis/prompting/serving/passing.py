"""One request through the proxy: let in, read, compressed, passed on, or refused."""

import asyncio
import hmac
import ipaddress
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tamis.errors import BudgetError, DataError, MissingExtraError, SettingError, TamisError
from tamis.prompting.serving.press import Press, Pressed
from tamis.prompting.serving.totals import Totals
from tamis.prompting.serving.upstream import Broken, Upstream
from tamis.prompting.serving.wishes import HEADERS, wish_of

try:
    import anyio
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse
    from starlette.types import Receive, Scope, Send
except ImportError as missing:
    raise MissingExtraError("starlette", "ui") from missing

__all__ = ["Limits", "Passing", "error", "is_local"]

_log = logging.getLogger("tamis.proxy")


class Limits(NamedTuple):
    """What is let in: whose token, how much, how many at a time, how slow."""

    token: str | None
    max_bytes: int
    max_requests: int
    silence: float


class _Refused(Exception):
    """The proxy answers itself, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Passing:
    """Passes requests on, as an ASGI application."""

    def __init__(self, upstream: Upstream, press: Press, limits: Limits) -> None:
        self.upstream, self.press, self.limits = upstream, press, limits
        self.totals = Totals()

    async def totals_page(self, request: Request) -> JSONResponse:
        """Tell the totals."""
        try:
            self._admit(request)
        except _Refused as refusal:
            return error(refusal.status, str(refusal))
        return JSONResponse(self.totals.told())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
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
            await error(refusal.status, str(refusal), again)(scope, receive, send)
        except ClientDisconnect:
            self.totals.left += 1

    def _admit(self, request: Request) -> None:
        """Let in who knows the token; without one, who asks for this machine as such."""
        if self.limits.token is not None:
            said = request.headers.get(f"{HEADERS}token", "")
            if not hmac.compare_digest(said.encode(), self.limits.token.encode()):
                raise _Refused(401, "X-Tamis-Token is not the proxy's")
        elif not is_local(urlsplit(f"//{request.headers.get('host', '')}").hostname or ""):
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
                await error(trouble.status, str(trouble))(request.scope, request.receive, send)

    async def _pressed(self, request: Request, body: bytes) -> Pressed | None:
        """Return the request compressed; None where that is not asked for."""
        try:
            wish = wish_of(_path(request), request.headers.items(), body)
            if wish is None:
                return None
            start = time.perf_counter()
            pressed = await self.press.press(wish)
        except (BudgetError, DataError, SettingError) as wrong:
            raise _Refused(400, str(wrong)) from None
        except TamisError as failed:
            raise _Refused(500, f"the compressor failed: {failed}") from None
        except Exception as failed:
            _log.exception("the compressor failed")
            raise _Refused(500, f"the compressor failed ({type(failed).__name__})") from None
        self.totals.add(pressed, time.perf_counter() - start)
        return pressed


async def _cancel_when_gone(receive: Callable[[], Any], scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _path(request: Request) -> str:
    """Return the path below /v1/."""
    return str(request.scope["path"]).removeprefix("/v1").strip("/")


def _headers_of(pressed: Pressed) -> dict[str, str]:
    return {
        f"{HEADERS}original-tokens": str(pressed.original_tokens),
        f"{HEADERS}tokens": str(pressed.tokens),
        f"{HEADERS}saved-tokens": str(pressed.original_tokens - pressed.tokens),
    }


def error(status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error in the form of OpenAI's."""
    told = {"message": f"tamis: {reason}", "type": "tamis_error", "param": None, "code": status}
    return JSONResponse({"error": told}, status, headers)


def is_local(host: str) -> bool:
    """Whether a name or an address is this machine's own, which no other reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
