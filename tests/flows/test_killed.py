"""A run that is killed at any moment goes on where it stopped, and loses nothing."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data"
KILLS = 20


@pytest.fixture
def tamis(server, tmp_path):
    """Start the command line in a process of its own, in a home of its own."""

    def start(*arguments, home="home"):
        return subprocess.Popen(
            [sys.executable, "-m", "tamis.cli", *arguments],
            env={**os.environ, "TAMIS_HOME": str(tmp_path / home), "PREFECT_API_URL": server},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def finished(process):
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return json.loads(out)


def kept(home):
    import pyarrow.parquet as pq

    (path,) = home.glob("runs/*/curated.parquet")
    return pq.read_table(path, columns=["tamis_id", "tamis_rank"]).to_pylist()


def step_files(home):
    return {path.name: path.stat().st_ino for path in home.glob("steps/*.parquet")}


@pytest.mark.timeout(1200)
def test_twenty_kills_lose_nothing_and_repeat_no_finished_step(tamis, tmp_path):
    command = [
        "run", "curate", "--pool", str(DATA / "instructions.jsonl.zst"),
        "--target", str(DATA / "seed_tasks.jsonl"), "--k", "500", "--json",
    ]  # fmt: skip
    whole = finished(tamis(*command, home="whole"))  # compiles the kernels, if need be
    started = time.perf_counter()
    finished(tamis(*command, home="timed"))
    seconds = time.perf_counter() - started

    draw, home, done = random.Random(0), tmp_path / "home", {}
    killed_within = 0
    for _ in range(KILLS):
        known = [path.name for path in home.glob("runs/*") if (path / "run.json").exists()]
        process = tamis("run", "--resume", known[0], "--json") if known else tamis(*command)
        time.sleep(draw.uniform(0.1, 0.9) * seconds)
        killed_within += process.poll() is None
        process.kill()
        process.communicate()
        for name, inode in done.items():
            assert step_files(home).get(name) == inode, "a finished step was done again"
        done = step_files(home)
        assert not list(home.glob("steps/*.parquet.*")), "half a file has a whole one's name"

    assert killed_within >= KILLS // 2
    run_id = next(iter(home.glob("runs/*"))).name
    last = finished(tamis("run", "--resume", run_id, "--json"))
    assert last["status"] == "done"
    assert [step["kept"] for step in last["steps"]] == [step["kept"] for step in whole["steps"]]
    assert kept(home) == kept(tmp_path / "whole")
    assert {name: step_files(home)[name] for name in done} == done


def test_a_killed_run_is_called_interrupted(tamis):
    process = tamis(
        "run", "curate", "--pool", str(DATA / "instructions.jsonl.zst"),
        "--target", str(DATA / "seed_tasks.jsonl"), "--k", "500",
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        listed = finished(tamis("runs", "--json"))
        if listed:
            break
    process.kill()
    process.communicate()
    (run,) = finished(tamis("runs", "--json"))
    assert run["status"] == "interrupted"
