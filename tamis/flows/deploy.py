"""Deployments: a recipe on Prefect's schedule, and the worker that runs it.

A deployment runs the flow `curate` with the recipe as its parameter. The recipe's schema
goes with it, so that Prefect's server refuses a run whose recipe has an unknown key or method.
A process pool's runs work in the folder, and the TAMIS_HOME, that `deploy` was called in; of
other pools (Docker, Kubernetes) the image and the job's own variables say where.
"""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.schedules import Cron, Schedule
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_LOCAL_STORAGE_PATH,
    get_current_settings,
    temporary_settings,
)
from prefect.types.entrypoint import EntrypointType
from prefect.workers.base import BaseWorker
from prefect.workers.process import ProcessWorker
from pydantic import ValidationError

from tamis.data.files import home
from tamis.errors import RunError, SettingError, did_you_mean
from tamis.flows.curate import CARDS, curate
from tamis.flows.server import check_server
from tamis.pipelines.recipe import Recipe

__all__ = ["WORK_POOL", "Deployed", "deploy", "serve"]

WORK_POOL = "tamis"
"""The pool of processes on this machine that `serve` works for."""

_PATIENCE_SECONDS = 120.0  # for a server to come up: its first start makes its database


@dataclass(frozen=True)
class Deployed:
    """A deployment that Prefect's server knows.

    Attributes
    ----------
    id, name : str
        `name` is as Prefect's commands take it: flow/deployment.
    work_pool : str
    cron : str or None
    """

    id: str
    name: str
    work_pool: str
    cron: str | None


def deploy(
    recipe: Recipe,
    *,
    cron: str | None = None,
    timezone: str = "UTC",
    name: str | None = None,
    work_pool: str = WORK_POOL,
    kind: str = "process",
    job: Mapping[str, object] | None = None,
    workers: int = 1,
    keep: int | None = 7,
    cards: int | None = None,
) -> Deployed:
    """Deploy a recipe on Prefect's server; one of the same name is replaced.

    One run of a deployment goes on at a time: a night that takes longer than a day makes the
    next one wait.

    Parameters
    ----------
    recipe : Recipe
        With a pool.
    cron : str, optional
        When to run: '0 3 * * *' is at three every night. Without one it runs when asked.
    timezone : str
        Of `cron`.
    name : str, optional
        The deployment's; by default the recipe's.
    work_pool, kind : str
        Made if it is not there: 'process', or what a Prefect integration brings ('docker',
        'kubernetes').
    job : mapping, optional
        The pool's job variables, such as {'image': 'me/tamis'}.
    workers : int
        Threads a step.
    keep : int, optional
        Runs of a recipe that keep all their files; None tidies nothing away.
    cards : int, optional
        Steps that may use a model at once, over all deployments of this server.

    Raises
    ------
    SettingError
        For a schedule or a pool that cannot be.
    RecipeError
        For a recipe that cannot run.
    RunError
        If Prefect's server does not answer.
    """
    recipe.selectors()
    if recipe.pool is None:
        raise SettingError(f"{recipe.name}: no pool; add `pool: FILE`, or give --pool FILE")
    check_server()
    deployment = RunnerDeployment.from_flow(
        curate,
        name or recipe.name,
        schedule=_schedule(cron, timezone),
        concurrency_limit=ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
        ),
        parameters={
            "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
            "workers": workers,
            "keep": keep,
        },
        description=f"tamis: the recipe {recipe.name}",
        tags=["tamis"],
        work_pool_name=work_pool,
        job_variables=(_here() if kind == "process" else {}) | dict(job or {}),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    _make_pool(work_pool, kind)
    if cards is not None:
        with get_client(sync_client=True) as client:
            client.upsert_global_concurrency_limit_by_name(CARDS, limit=cards)
    try:
        known = deployment.apply()
    except PrefectHTTPStatusError as error:
        raise SettingError(f"deploy {recipe.name}: {_answer(error)}") from error
    return Deployed(str(known), f"{curate.name}/{deployment.name}", work_pool, cron)


def serve(*, work_pool: str = WORK_POOL, limit: int | None = None, port: int = 4200) -> None:
    """Run what is due, until interrupted or terminated.

    Prefect's server is started where none is configured, and ends with this.

    Parameters
    ----------
    work_pool : str
        A pool of processes; made if it is not there.
    limit : int, optional
        Runs at a time; by default as many as are due.
    port : int
        Of a server that is started, on this machine's loopback.

    Raises
    ------
    RunError
        If the server does not answer.
    """
    # As Ctrl-C does it: what was started ends too. What a script begins in the background does
    # not hear Ctrl-C at first.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with _server(port):
        check_server()
        _make_pool(work_pool, "process")
        worker = ProcessWorker(work_pool_name=work_pool, limit=limit)
        asyncio.run(worker.start(printer=_to_stderr))


@contextmanager
def _server(port: int) -> Iterator[None]:
    """Use the server that is configured, or start one for the time of the block."""
    if get_current_settings().api.url is not None:
        yield
        return
    address = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
    started = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        _wait_for(address, started)
        _to_stderr(f"Prefect's page: {address.removesuffix('/api')}")
        with temporary_settings(updates={PREFECT_API_URL: address}):
            yield
    finally:
        started.terminate()
        started.wait()


def _wait_for(address: str, started: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while started.poll() is None and time.monotonic() < end:
        try:
            if httpx.get(f"{address}/health", timeout=5).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.25)
    raise RunError(
        f"Prefect's server did not come up at {address}; is the port taken? give another by --port"
    )


def _schedule(cron: str | None, timezone: str) -> Schedule | None:
    if cron is None:
        return None
    try:
        CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        said = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise SettingError(
            f"--cron '{cron}' --timezone {timezone}: {said}; such as '0 3 * * *', in UTC"
        ) from None
    return Cron(cron, timezone=timezone)


def _here() -> dict[str, Any]:
    """Return the job variables by which a process works where this one does."""
    return {
        "working_dir": str(Path.cwd()),
        "env": {
            "TAMIS_HOME": str(home()),
            PREFECT_LOCAL_STORAGE_PATH.name: str(home() / "prefect"),
            "PREFECT_LOGGING_LEVEL": "INFO",
        },
    }


def _make_pool(name: str, kind: str) -> None:
    with get_client(sync_client=True) as client:
        try:
            there = client.read_work_pool(name)
        except ObjectNotFound:
            there = None
        if there is not None:
            if there.type != kind:
                raise SettingError(
                    f"work pool {name} is of type {there.type}, not {kind}; name another"
                )
            return
        if kind != "process":
            _check_kind(name, kind, client.read_worker_metadata())
        try:
            client.create_work_pool(WorkPoolCreate(name=name, type=kind))
        except ObjectAlreadyExists:  # another process was first
            pass
        except PrefectHTTPStatusError as error:
            raise SettingError(f"work pool {name} of type {kind}: {_answer(error)}") from error


def _check_kind(name: str, kind: str, collections: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise SettingError for a kind of pool that Prefect has no worker for: it would take it."""
    theirs = {worker["type"] for workers in collections.values() for worker in workers.values()}
    known = theirs | set(BaseWorker.get_all_available_worker_types())
    if kind not in known:
        raise SettingError(
            f"work pool {name} of type {kind}: no such type; {did_you_mean(kind, known)}"
        )


def _answer(error: PrefectHTTPStatusError) -> str:
    """Return what the server says, in one line."""
    try:
        said = error.response.json().get("detail", error.response.text)
    except ValueError:
        said = error.response.text
    return " ".join(str(said).split())[:300]


def _to_stderr(message: str) -> None:
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - Prefect's worker takes a printer
