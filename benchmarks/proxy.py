"""What the proxy costs: requests a second through it and beside it, and what it adds to one.

The upstream is a server on this machine that answers at once; nothing is compressed but in
the last line, by `truncate`, which costs next to nothing itself. There is no peer: LLMLingua
serves nothing.
"""

import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tamis.prompting.serving import proxy

CLIENTS, REQUESTS = 64, 320
PROMPT = "word " * 2000


@contextmanager
def running(app: Starlette) -> Iterator[str]:
    """Run an application in a thread; give its address."""
    config = uvicorn.Config(app, port=0, log_level="critical", ws="none", timeout_keep_alive=75)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    server.should_exit = True
    thread.join()


def measured(url: str, extra: dict[str, Any]) -> tuple[float, float]:
    """Return requests a second by many clients, and a lone request's median milliseconds."""
    with httpx.Client(timeout=60, limits=httpx.Limits(max_connections=CLIENTS)) as client:

        def ask(_: int) -> float:
            start = time.perf_counter()
            client.post(f"{url}/completions", json={"prompt": PROMPT, **extra}).raise_for_status()
            return time.perf_counter() - start

        alone = statistics.median(map(ask, range(30)))
        start = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as threads:
            list(threads.map(ask, range(REQUESTS)))
        return REQUESTS / (time.perf_counter() - start), alone * 1000


async def answered(_: Request) -> Response:
    """Answer at once."""
    return Response(b'{"choices": []}', media_type="application/json")


upstream = Starlette(routes=[Route("/v1/completions", answered, methods=["POST"])])
with (
    running(upstream) as direct,
    running(proxy(direct, method="truncate", tokenizer=str.split)) as through,
):
    print(f"{CLIENTS} clients, prompts of 2,000 words")
    for name, url, extra in (
        ("beside it", direct, {}),
        ("through it", through, {}),
        ("compressed", through, {"tamis": {"rate": 0.5}}),
    ):
        rate, alone = measured(url, extra)
        print(f"{name:12} {rate:7.0f} requests/s {alone:7.1f} ms for one alone")
