"""Nights on a pool that grows by one row in a hundred, each killed once in its middle.

Every night is a run of a deployment, on a real Prefect server, by `tamis serve`. What models do
is counted where it is kept: in the feature store. A week takes TAMIS_NIGHTS=7.
"""

import json
import os
from functools import partial
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from prefect.states import Scheduled
from scheduling import SECRET, eventually, flow_runs, kill, processes_of, set_state, start_now

from tamis.data.catalog import catalog
from tamis.flows.deploy import deploy
from tamis.pipelines import runs
from tamis.pipelines.diff import diff
from tamis.pipelines.recipe import Recipe

pytestmark = pytest.mark.timeout(3600)
NIGHTS = int(os.environ.get("TAMIS_NIGHTS", "3"))
ROWS, GROWTH, KEEP = 1000, 10, 2
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


def has_come_to(deployed, flow_run, *names):
    (found,) = [run for run in flow_runs(deployed) if run.id == flow_run.id]
    return found.state_name in names


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
@pytest.mark.usefixtures("scheduler", "worker")
def test_nights_that_are_killed_do_the_work_of_new_rows_and_lose_nothing(folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    pool, home = folder / "pool.jsonl", folder / "home"
    pool.unlink()
    grow(pool, 0, ROWS)
    deployed = deploy(Recipe.parse(RECIPE, "nightly.yaml"), name="nights", keep=KEEP)
    work, room, killed, before = [], [], 0, None
    for night in range(NIGHTS):
        done_before = embedded(home)
        flow_run = start_now(deployed)
        killed += _kill_in_the_middle(deployed, flow_run, home, night)
        eventually(partial(_tried_again, deployed, flow_run), f"night {night}")
        assert len(runs.runs()) == night + 1, "a night that was killed went on as itself"
        newest = runs.runs()[0]
        assert newest.status == "done"
        assert len(newest.dataset) == 50
        assert len(newest.pool) == ROWS + night * GROWTH
        if before is not None:
            assert diff(before, newest).pool_came == GROWTH
        work.append(embedded(home) - done_before)
        room.append(taken(home))
        before = newest
        grow(pool, ROWS + night * GROWTH, GROWTH)
    assert killed >= NIGHTS // 2
    assert work[0] == ROWS
    assert all(abs(done - GROWTH) <= GROWTH / 10 for done in work[1:]), work
    assert room[-1] <= 1.35 * room[KEEP - 1], room
    whole = catalog().sql("SELECT DISTINCT run_id FROM selections").fetchall()
    assert len(whole) == KEEP
    done = catalog().sql("SELECT count(*) FROM runs WHERE status = 'done'").fetchall()
    assert done == [(NIGHTS,)]
    # The worker and its runs have the token in their environment; the server keeps a database.
    places = [folder, *folder.parent.glob("scheduler*"), *folder.parent.glob("worker*")]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert any(path.name == "prefect.db" for path in files)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def _tried_again(deployed, flow_run):
    """Press Retry where it has crashed: a worker may report a crash a second time, later."""
    if has_come_to(deployed, flow_run, "Crashed"):
        set_state(flow_run, Scheduled(), force=True)
    return has_come_to(deployed, flow_run, "Completed")


def _kill_in_the_middle(deployed, flow_run, home, night):
    """Kill what works on the run, at another moment each night; return whether one was met."""
    so_far = len(list(home.glob("steps/*.parquet")))
    wanted = so_far + (2, 0, 1)[night % 3]  # steps of this night that are done by then

    def is_there():
        far_enough = len(list(home.glob("steps/*.parquet"))) >= wanted
        return far_enough and (
            processes_of(flow_run) or has_come_to(deployed, flow_run, "Completed")
        )

    eventually(is_there, f"the middle of night {night}", every=0.05)
    met = kill(flow_run)
    eventually(
        lambda: has_come_to(deployed, flow_run, "Crashed", "Completed"), "the crash to be seen"
    )
    if (home / "catalog.duckdb").exists():
        with duckdb.connect(str(home / "catalog.duckdb"), read_only=True) as file:
            assert file.execute("SELECT count(*) FROM runs").fetchall()
    assert catalog().sql("SELECT count(*) FROM selections").fetchall()
    return met
