"""Who may look: this machine, or who knows the token; and what a page may do there."""

import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["COOKIE", "Guard", "is_local"]

COOKIE = "tamis-ui"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Stands before an application: refuses whom it does not know, and writes the headers.

    Parameters
    ----------
    app : ASGI application
    token : str, optional
        That a reader must bring once, as `?token=`; a cookie remembers it. Without one only
        those who ask for this machine by a local name are answered, so that no web page
        whose name was pointed here (DNS rebinding) can read.
    """

    def __init__(self, app: ASGIApp, token: str | None = None) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have the application answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._answer(Request(scope))
        await (answer or self.app)(scope, receive, guarded)

    def _answer(self, request: Request) -> Response | None:
        """Return the guard's own answer; None for a reader who may go on."""
        if self.token is None:
            if not is_local(_name(request.headers.get("host", ""))):
                return _refusal("the Host header names another machine; ask for 127.0.0.1")
        elif self._is_token(request.query_params.get("token", "")):
            answer = RedirectResponse("/", 303)  # the address bar forgets it
            answer.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
            return answer
        elif not self._is_token(request.cookies.get(COOKIE, "")):
            return _refusal("open the address that tamis ui printed, with its token", 401)
        if request.headers.get("sec-fetch-site") == "cross-site" and request.query_params:
            return _refusal("another site asked this; open it from here")
        return None

    def _is_token(self, said: str) -> bool:
        return hmac.compare_digest(said.encode(), (self.token or "").encode())


def is_local(host: str) -> bool:
    """Return whether a name or an address is this machine's own.

    >>> is_local("localhost"), is_local("127.0.0.1"), is_local("::1"), is_local("example.org")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _refusal(why: str, status: int = 403) -> Response:
    return PlainTextResponse(f"tamis: {why}\n", status)
