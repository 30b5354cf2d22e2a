"""The server behind the proxy: what it is sent, and what comes back, byte for byte."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from tamis.errors import MissingExtraError, SettingError
from tamis.prompting.serving.wishes import HEADERS

try:
    import httpx
    from starlette.requests import Request
    from starlette.types import Send
except ImportError as error:
    raise MissingExtraError("httpx", "ui") from error

__all__ = ["Broken", "Upstream"]

_CONNECT = 10.0  # seconds
_IDLE = 3.0  # seconds a connection is kept: less than servers do (uvicorn, and so vLLM: 5)
_BETWEEN_TWO = {  # of one connection, not of what is sent over it
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
}  # fmt: skip


class Broken(Exception):
    """The upstream did not answer, or not to the end; `status` is what the client gets."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Upstream:
    """A server that requests are passed to.

    Parameters
    ----------
    url : str
        Up to what paths are added to, as in 'http://localhost:8000/v1'.
    connections : int
        At most, at a time.
    silence : float
        Seconds after which it is taken for dead.
    """

    def __init__(self, url: str, connections: int, silence: float) -> None:
        self._url = _checked(url)
        self._timeout = httpx.Timeout(silence, connect=min(_CONNECT, silence)).as_dict()
        limits = httpx.Limits(max_connections=connections, keepalive_expiry=_IDLE)
        self._client = httpx.AsyncClient(limits=limits, follow_redirects=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def pass_on(
        self, request: Request, body: bytes, told: Mapping[str, str], send: Send
    ) -> None:
        """Send a request with this body, and stream the answer, with these headers added.

        Raises
        ------
        Broken
            If there is no answer, or half of one: what was sent by then was sent.
        """
        try:
            response = await self._client.send(self._request(request, body), stream=True)
            try:
                await _stream(response, told, send)
            finally:
                await response.aclose()
        except httpx.ConnectTimeout:
            raise Broken(504, "the upstream takes no connection in time") from None
        except httpx.TimeoutException:
            raise Broken(504, "the upstream did not answer in time") from None
        except httpx.ConnectError:
            raise Broken(502, "cannot connect to the upstream") from None
        except httpx.HTTPError as error:  # its text can hold a header, and so a key
            reason = f"the upstream's answer broke off ({type(error).__name__})"
            raise Broken(502, reason) from None

    def _request(self, request: Request, body: bytes) -> httpx.Request:
        # Not by the client's `build_request`, which would add headers and cookies of its own.
        headers = _kept(request.headers.raw, drop=(b"host", b"content-length"))
        if "accept-encoding" not in request.headers:
            headers.append((b"accept-encoding", b"identity"))
        return httpx.Request(
            request.method,
            self._address(request),
            headers=headers,
            content=body or None,
            extensions={"timeout": self._timeout},
        )

    def _address(self, request: Request) -> httpx.URL:
        raw = request.scope.get("raw_path") or request.scope["path"].encode()
        path = raw.removeprefix(b"/v1")
        if any(step in {".", ".."} for step in unquote(path.decode("latin-1")).split("/")):
            raise Broken(400, "the path leaves the upstream's own; ask for one below it")
        query = request.scope["query_string"]
        whole = self._url.raw_path.rstrip(b"/") + path
        return self._url.copy_with(raw_path=whole + (b"?" + query if query else b""))


async def _stream(response: httpx.Response, told: Mapping[str, str], send: Send) -> None:
    """Send an answer on, part by part, as it comes."""
    headers = _kept(response.headers.raw)
    headers += [(name.encode(), value.encode()) for name, value in told.items()]
    start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
    await send(start)
    async for part in response.aiter_raw():
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _kept(
    headers: Iterable[tuple[bytes, bytes]], drop: tuple[bytes, ...] = ()
) -> list[tuple[bytes, bytes]]:
    """Return the headers that go from end to end."""
    held = [(name.lower(), value) for name, value in headers]
    named = {
        word.strip().lower()
        for name, value in held
        if name == b"connection"
        for word in value.split(b",")
    }
    gone = _BETWEEN_TWO | named | set(drop)
    return [
        (name, value)
        for name, value in held
        if name not in gone and not name.startswith(HEADERS.encode())
    ]


def _checked(url: str) -> httpx.URL:
    try:
        parsed: Any = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        parsed = None
    if parsed is None or parsed.scheme not in {"http", "https"} or not parsed.host:
        raise SettingError(f"upstream {url!r}: no address; write it as http://localhost:8000/v1")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise SettingError(
            "upstream: the address holds a password, a query or a fragment; clients send their keys"
        )
    return parsed  # type: ignore[no-any-return]
