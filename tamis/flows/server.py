"""Prefect's server, which every flow asks for before it begins: the one that is set up, or our own.

Prefect starts one by itself where none is set up. Ours is begun before the rest of tamis is
imported, and is ready when that is; and it ends with the process that began it, even a killed
one, as it reads a pipe whose other end that process holds.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import httpx
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from tamis.errors import RunError

__all__ = ["begin_server", "check_server", "connected"]

_PATIENCE_SECONDS = 120.0  # a database that is new, or of an older Prefect, is built up first


class _Own(NamedTuple):
    """A server that this process began."""

    process: "subprocess.Popen[bytes]"
    url: str


_own: _Own | None = None


def begin_server() -> str | None:
    """Begin to start a server, and do not wait for it; None where one is set up, else its URL."""
    global _own
    if _set_up() is not None:
        return None
    if _own is None or _own.process.poll() is not None:
        _own = _begun()
    return _own.url


def _begun() -> _Own:
    with socket.create_server(("127.0.0.1", 0)) as door:  # who comes early waits there
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "tamis.flows.serving", str(door.fileno())],
            env={**os.environ, **settings},
            pass_fds=[door.fileno()],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the run, which then tells the server
        )
        return _Own(process, f"http://127.0.0.1:{door.getsockname()[1]}/api")


@contextmanager
def connected() -> Iterator[None]:
    """Have Prefect speak, within the block, with the server that is set up, or with our own.

    Raises
    ------
    RunError
        If it does not answer.
    """
    url = begin_server()
    if url is None:
        check_server()
        yield
        return
    try:
        httpx.get(f"{url}/health", timeout=_PATIENCE_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        raise RunError(
            f"Prefect's server did not start ({type(error).__name__}); "
            "`prefect server start` says why"
        ) from None
    with temporary_settings(updates={PREFECT_API_URL: url}):
        yield


def check_server() -> None:
    """Raise RunError if Prefect's server is to be used and does not answer."""
    url = _set_up()
    if url is None:
        return
    try:
        httpx.get(f"{url}/health", timeout=5).raise_for_status()
    except httpx.HTTPError as error:
        raise RunError(
            f"Prefect's server at {url} does not answer ({type(error).__name__}); "
            "start it with `prefect server start`, or unset PREFECT_API_URL to run without one"
        ) from None


def _set_up() -> str | None:
    return get_current_settings().api.url
