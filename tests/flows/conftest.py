"""A Prefect server with its scheduler, and `tamis serve` beside it."""

import json
import os
import subprocess
import sys

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from scheduling import ended, eventually, free_port


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """A real server with its scheduler, which looks for work every second."""
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
        with temporary_settings(updates={PREFECT_API_URL: address}):
            yield address
    finally:
        ended(started)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"instruction": f"say {n}", "output": f"the number is {n}"} for n in range(20)]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def serving(scheduler, folder):
    """Start `tamis serve` for a work pool."""
    started = []

    def serve(work_pool):
        command = [sys.executable, "-m", "tamis.cli", "serve", "--work-pool", work_pool]
        environment = {
            **os.environ, "PREFECT_API_URL": scheduler, "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "2",
        }  # fmt: skip
        with (folder / "serve.log").open("wb") as log:
            started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        return started[-1]

    yield serve
    for process in started:
        ended(process)
