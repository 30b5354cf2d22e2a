"""Prefect's server, which every flow asks for before it begins: the one that is set up, or our own.

Prefect starts one by itself where none is set up. Ours is begun before the rest of tamis is
imported, and before Prefect, which takes as long as all that; and it ends with the process that
began it, even a killed one, as it reads a pipe whose other end that process holds.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tamis.errors import RunError

__all__ = ["begin_server", "check_server", "connected"]

_NAME_ONE = {"PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"}
_PATIENCE_SECONDS = 120.0  # a database that is new, or of an older Prefect, is built up first


class _Own(NamedTuple):
    """A server that this process began."""

    process: "subprocess.Popen[bytes]"
    url: str


_own: _Own | None = None


def begin_server() -> str | None:
    """Begin to start a server, and do not wait for it; None where one is set up, else its URL."""
    global _own
    if _may_be_set_up() and _set_up() is not None:
        return None
    if _own is None or _own.process.poll() is not None:
        _own = _begun()
    return _own.url


def _begun() -> _Own:
    with socket.create_server(("127.0.0.1", 0)) as door:  # who comes early waits there
        process = subprocess.Popen(
            [sys.executable, "-m", "tamis.flows.serving", str(door.fileno())],
            env={**os.environ, **_settings_of_this_process()},
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
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )

    url = begin_server()
    if url is None:
        check_server()
        yield
        return
    wrong = _what_is_wrong(url, _PATIENCE_SECONDS)
    if wrong:
        raise RunError(f"Prefect's server did not start ({wrong}); `prefect server start` says why")
    silent = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}  # a server of our own ends with us anyway
    with temporary_settings(updates={PREFECT_API_URL: url, **silent}):
        yield


def check_server() -> None:
    """Raise RunError if Prefect's server is to be used and does not answer."""
    url = _set_up()
    wrong = url and _what_is_wrong(url, 5)
    if wrong:
        raise RunError(
            f"Prefect's server at {url} does not answer ({wrong}); "
            "start it with `prefect server start`, or unset PREFECT_API_URL to run without one"
        )


def _what_is_wrong(url: str, seconds: float) -> str:
    """Return why the server at `url` does not answer in so many seconds; nothing if it does."""
    import httpx

    try:
        httpx.get(f"{url}/health", timeout=seconds).raise_for_status()
    except httpx.HTTPError as error:
        return type(error).__name__
    return ""


def _may_be_set_up() -> bool:
    """Say whether Prefect has to be asked: one of the places is there where it would look."""
    if "prefect" in sys.modules or any(name.upper() in _NAME_ONE for name in os.environ):
        return True
    profiles = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect", "profiles.toml")
    if any(path.exists() for path in (profiles, Path(".env"), Path("prefect.toml"))):
        return True
    project = Path("pyproject.toml")
    return project.exists() and "[tool.prefect" in project.read_text(encoding="utf-8")


def _set_up() -> str | None:
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def _settings_of_this_process() -> dict[str, str]:
    """Return what was set within this process alone: the rest a child finds by itself."""
    if "prefect" not in sys.modules:
        return {}
    from prefect.settings import get_current_settings

    return get_current_settings().to_environment_variables(exclude_unset=True)
