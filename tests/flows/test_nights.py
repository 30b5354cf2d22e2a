"""Seven nights on a pool that grows by one row in a hundred, each killed once in its middle.

Every night is a run that Prefect's server schedules and `tamis serve` works on. What models do
is counted where it is kept: in the feature store.
"""

import json
import os
import signal
import time
from functools import partial
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from scheduling import eventually, flow_runs, start_now

from tamis.data.catalog import catalog
from tamis.flows.deploy import deploy
from tamis.pipelines import runs
from tamis.pipelines.diff import diff
from tamis.pipelines.recipe import Recipe

pytestmark = pytest.mark.timeout(7200)
ROWS, GROWTH, NIGHTS, KEEP = 2000, 20, 7, 2
SECRET = "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7"
RECIPE = """\
name: nightly
pool: pool.jsonl
steps:
  - clean
  - deduplicate: {near: 0.9}
  - kcenter: {k: 50}
export: [out/nightly.jsonl]
"""


def grow(pool, start, count):
    with pool.open("a") as file:
        for n in range(start, start + count):
            words = " ".join(f"w{(n * p) % 997}" for p in (3, 5, 7, 11, 13, 17, 19, 23))
            file.write(json.dumps({"prompt": f"task {n}", "completion": words}) + "\n")


def embedded(home):
    """Return how many vectors the feature store holds: the work that a model has done."""
    return sum(pq.read_metadata(path).num_rows for path in home.glob("features/*/*/part-*.parquet"))


def taken(home):
    """Return the bytes on the disk, those of a file with two names once."""
    files = [path for path in home.rglob("*") if path.is_file()]
    return sum({p.stat().st_ino: p.stat().st_size for p in files}.values())


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


def has_come_to(deployed, flow_run, *names):
    (found,) = [run for run in flow_runs(deployed) if run.id == flow_run.id]
    return found.state_name in names


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
@pytest.mark.usefixtures("scheduler")
def test_a_week_of_nights(serving, folder, monkeypatch):
    from prefect.client.orchestration import get_client
    from prefect.states import Scheduled

    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    pool, home = folder / "pool.jsonl", folder / "home"
    pool.unlink()
    grow(pool, 0, ROWS)
    deployed = deploy(Recipe.parse(RECIPE, "nightly.yaml"), work_pool="nights", keep=KEEP)
    serving("nights")
    work, room, before = [], [], None
    for night in range(NIGHTS):
        done_before = embedded(home)
        flow_run = start_now(deployed)
        eventually(lambda: list(home.glob("runs/*")) or None, "the first run")
        _kill_in_the_middle(deployed, flow_run, home, night)
        with get_client(sync_client=True) as client:
            if not has_come_to(deployed, flow_run, "Completed"):
                client.set_flow_run_state(flow_run.id, Scheduled(), force=True)
        completed = partial(has_come_to, deployed, flow_run, "Completed")
        eventually(completed, f"night {night}")
        (newest, *_) = runs.runs()
        assert newest.status == "done"
        assert len(runs.runs()) == night + 1, "a night that was killed went on as itself"
        assert len(newest.dataset) == 50
        assert len(newest.pool) == ROWS + night * GROWTH
        if before is not None:
            assert diff(before, newest).pool_came == GROWTH
        work.append(embedded(home) - done_before)
        room.append(taken(home))
        before = newest
        grow(pool, ROWS + night * GROWTH, GROWTH)
    assert work[0] == ROWS
    assert all(abs(done - GROWTH) <= GROWTH / 10 for done in work[1:]), work
    assert room[-1] <= 1.35 * room[KEEP], room
    whole = catalog().sql("SELECT DISTINCT run_id FROM selections").fetchall()
    assert len(whole) == KEEP
    assert catalog().sql("SELECT count(*) FROM runs WHERE status = 'done'").fetchall() == [(7,)]
    held = [p for p in folder.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
    assert held == []


def _kill_in_the_middle(deployed, flow_run, home, night):
    """Kill what works on the run by SIGKILL, at another moment each night; ask the catalogue."""
    steps = len(list(home.glob("steps/*.parquet")))
    wanted = steps + night % 3

    def is_there():
        at_work = processes_of(flow_run)
        far_enough = len(list(home.glob("steps/*.parquet"))) >= wanted
        return (at_work and far_enough) or has_come_to(deployed, flow_run, "Completed")

    eventually(is_there, f"the middle of night {night}")
    time.sleep(0.2 * night)
    for process in processes_of(flow_run):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    eventually(
        lambda: has_come_to(deployed, flow_run, "Crashed", "Completed"), "the crash to be seen"
    )
    with duckdb.connect(str(home / "catalog.duckdb"), read_only=True) as file:
        assert file.execute("SELECT count(*) FROM runs").fetchall()
    assert catalog().sql("SELECT count(*) FROM selections").fetchall()
