"""A proxy on loopback in front of a server that a test scripts, both real."""

import asyncio
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")
uvicorn = pytest.importorskip("uvicorn")

from tamis.prompting.serving import proxy  # noqa: E402


@contextmanager
def running(app):
    """Run an ASGI application in a thread; give its address."""
    config = uvicorn.Config(app, port=0, log_level="critical", server_header=False,
                            date_header=False, ws="none", timeout_graceful_shutdown=1)  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


class Upstream:
    """An ASGI server that streams `parts`, a pause before each, and notes what it was sent.

    It breaks off after `breaks` parts; `left` counts clients that went away in the middle.
    """

    def __init__(self):
        self.seen = []
        self.status, self.headers = 200, [(b"content-type", b"application/json")]
        self.parts, self.pause, self.breaks, self.left = [b'{"ok": true}'], 0.0, None, 0

    async def __call__(self, scope, receive, send):
        assert scope["type"] in {"http", "lifespan"}
        if scope["type"] == "lifespan":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        path = scope["raw_path"].decode() + "?" * bool(scope["query_string"])
        path += scope["query_string"].decode()
        self.seen.append((scope["method"], path, dict(scope["headers"]), body))
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        gone = asyncio.create_task(receive())
        for number, part in enumerate(self.parts):
            await asyncio.wait([gone], timeout=self.pause)
            if gone.done():
                self.left += 1
                return
            if number == self.breaks:
                return
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        gone.cancel()


@pytest.fixture
def upstream():
    return Upstream()


@pytest.fixture
def started(upstream):
    """Start a proxy in front of the scripted upstream; give its address, without /v1."""
    with ExitStack() as stack:

        def start(to=None, **options):
            to = to or stack.enter_context(running(upstream)) + "/api/v1"
            how = {"method": "truncate", "tokenizer": str.split} | options
            return stack.enter_context(running(proxy(to, **how)))

        yield start
