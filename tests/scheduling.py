"""What tests of deployments do: ask Prefect's server, and wait for what is to happen."""

import socket
import subprocess
import time
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter

PATIENCE = 900  # a machine that does much else is slow


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def eventually(look, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(1)
    log = Path("serve.log")
    raise AssertionError(f"waited for {what}\n{log.read_text() if log.exists() else ''}")


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
