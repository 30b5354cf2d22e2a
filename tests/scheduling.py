"""What tests of deployments do: ask Prefect's server, and wait for what is to happen."""

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter

SECRET = "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7"
PATIENCE = 600  # a machine that does much else is slow


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def eventually(look, what, *, every=1.0):
    """Return what `look` finds, as soon as it finds something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"waited for {what}")


def ended(process):
    """End a process and those that it started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def flow_runs(deployed):
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(
            flow_run_filter=FlowRunFilter(),
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployed.id])),
        )


def in_state(deployed, *names):
    return [run for run in flow_runs(deployed) if run.state_name in names]


def start_now(deployed, **parameters):
    with get_client(sync_client=True) as client:
        return client.create_flow_run_from_deployment(deployed.id, parameters=parameters)


def set_state(flow_run, state, *, force=False):
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, state, force=force)


@contextmanager
def held(limit):
    """Hold one slot of a limit. (Prefect's own `concurrency` asks the server it asked first.)"""
    with get_client(sync_client=True) as client:
        taken = client.increment_concurrency_slots([limit], 1, "concurrency")
        assert taken.json(), f"no limit {limit}"
        yield
        client.release_concurrency_slots([limit], 1, occupancy_seconds=1)


def processes_of(flow_run):
    """Return the ids of the processes that work on a flow run."""
    wanted = f"PREFECT__FLOW_RUN_ID={flow_run.id}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
        except OSError:  # it has just ended
            continue
    return found


def kill(flow_run):
    """Kill what works on a flow run, by SIGKILL; return whether something did."""
    found = processes_of(flow_run)
    for process in found:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return bool(found)
