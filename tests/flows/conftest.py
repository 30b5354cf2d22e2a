"""A Prefect server with its scheduler, and `tamis serve` beside it: one of each for all tests."""

import json
import os
import subprocess
import sys

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from scheduling import SECRET, ended, eventually, free_port


@pytest.fixture(scope="session")
def server_with_scheduler(tmp_path_factory):
    """The address of a real server that looks every five seconds for what to schedule."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    folder = tmp_path_factory.mktemp("scheduler")
    environment = {
        **os.environ,
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        started = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def is_up():
        assert started.poll() is None, (folder / "log").read_text()
        try:
            return httpx.get(f"{address}/health").is_success
        except httpx.HTTPError:
            return False

    try:
        eventually(is_up, "the server")
        yield address
    finally:
        ended(started)


@pytest.fixture(scope="session")
def worker(server_with_scheduler, tmp_path_factory):
    """`tamis serve`; a run works where its deployment was made, not here.

    Prefect's server on SQLite answers 503 to a request that another write came before, and
    each look of a worker is a write: one that looks every second is in the way of all others.
    """
    folder = tmp_path_factory.mktemp("worker")
    environment = {
        **os.environ,
        "PREFECT_API_URL": server_with_scheduler,
        "PREFECT_WORKER_QUERY_SECONDS": "4",
        "PREFECT_LOGGING_LEVEL": "INFO",  # this process has made itself quiet
        "TAMIS_HOME": str(folder / "home"),
        "HF_TOKEN": SECRET,
        "OPENAI_API_KEY": SECRET,
    }
    command = [sys.executable, "-m", "tamis.cli", "serve"]
    with (folder / "log").open("wb") as log:
        started = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    yield started
    ended(started)


@pytest.fixture
def scheduler(server_with_scheduler):
    """Prefect's client, here, speaks with the server that has a scheduler."""
    with temporary_settings(updates={PREFECT_API_URL: server_with_scheduler}):
        yield server_with_scheduler


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with a pool of twenty rows."""
    monkeypatch.chdir(tmp_path)
    rows = [{"instruction": f"say {n}", "output": f"the number is {n}"} for n in range(20)]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path
