"""Joining Ray: a cluster by its address, or one of its own on this machine.

A Ray of its own has neither dashboard nor telemetry. Its files lie in a temporary folder, what
does not fit its memory in TAMIS_HOME, and both go with it.
"""

import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
import ray.data
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import tamis
from tamis.data.files import home
from tamis.errors import RunError
from tamis.pipelines.engines.actors import dismiss
from tamis.pipelines.steps import code_digest

__all__ = ["check_node", "join", "leaving", "one_line", "silent"]

_PATIENCE_SECONDS = 10.0


def join(address: str | None, workers: int) -> None:
    """Join the cluster at `address`, or at RAY_ADDRESS, or start one here; if not done yet.

    Parameters
    ----------
    address : str, optional
    workers : int
        Processes of a Ray of its own.

    Raises
    ------
    RunError
        If no cluster answers, or a node of it does not see TAMIS_HOME, or has another tamis.
    """
    if ray.is_initialized():
        return
    address = address or os.environ.get("RAY_ADDRESS")
    if not address:
        _start(workers)
        return
    try:
        _knock(address)
        _init(address)
    except (OSError, RuntimeError, ValueError) as error:
        raise RunError(
            f"ray: no cluster answers at {address} ({one_line(error)}); start one with "
            "`ray start --head`, or leave the address out to run on this machine"
        ) from error
    _check_nodes()


@contextmanager
def leaving() -> Iterator[None]:
    """Leave Ray at the end of the block, if it was joined inside; one of its own ends.

    Actors of ours end in any case.
    """
    joined = ray.is_initialized()
    try:
        yield
    finally:
        if ray.is_initialized():
            dismiss("CPU", "GPU")
        if not joined and ray.is_initialized():
            ray.shutdown()
            shutil.rmtree(_folder(), ignore_errors=True)


def _start(workers: int) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # or it writes one to ~/.ray
    overflow = home() / "scratch"
    overflow.mkdir(parents=True, exist_ok=True)
    _init(
        "local",
        num_cpus=workers,
        include_dashboard=False,
        object_spilling_directory=str(overflow),
        _temp_dir=str(_folder()),
    )


def _knock(address: str) -> None:
    """Raise OSError where nothing listens: Ray itself would wait for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_SECONDS).close()


def _init(address: str, **how: Any) -> None:  # noqa: ANN401 - of `ray.init`
    """Join Ray in silence: its core warns of each pool of actors, and tells of its own level."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    sys.stderr.flush()
    screen = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        ray.init(address, log_to_driver=False, logging_level="error", **how)
    finally:
        os.dup2(screen, 2)
        os.close(screen)


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"tamis-ray-{os.getpid()}"


def _check_nodes() -> None:
    """Raise RunError unless every node sees the same TAMIS_HOME, and has the same tamis."""
    mark = home() / f".seen-{uuid4().hex}"
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        looks = {
            node["NodeManagerHostname"]: _look.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(mark)
            for node in ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU")
        }
        for name, look in looks.items():
            check_node(name, *ray.get(look))
    finally:
        mark.unlink()


def check_node(name: str, sees: bool, digest: str) -> None:
    """Raise RunError unless a node sees TAMIS_HOME, and its tamis has this digest."""
    if not sees:
        raise RunError(
            f"ray: node {name} does not see TAMIS_HOME={home()}; "
            "put it on a file system that all nodes share"
        )
    if digest != code_digest():
        raise RunError(
            f"ray: node {name} has another tamis; install {tamis.__version__} on every node"
        )


@ray.remote(num_cpus=0)  # type: ignore[untyped-decorator]
def _look(mark: Path) -> tuple[bool, str]:
    return mark.exists(), code_digest()


def silent(*, in_order: bool) -> ray.data.DataContext:
    """Return Ray Data's settings, for one dataset: without bars and words."""
    with warnings.catch_warnings(action="ignore"):  # its own defaults are deprecated
        settings = ray.data.DataContext.get_current().copy()
    settings.execution_options.preserve_order = in_order
    settings.enable_progress_bars = False
    settings.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return settings


def one_line(error: Exception) -> str:
    """Return the beginning of an error's text, as one line."""
    return " ".join(str(error).split())[:300]
