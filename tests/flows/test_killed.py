"""A run that is killed at any moment goes on where it stopped, and loses nothing."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scheduling import eventually

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


def files_of(home, room="steps"):
    return {path.name: path.stat().st_ino for path in home.glob(f"{room}/*.parquet")}


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
            assert files_of(home).get(name) == inode, "a finished step was done again"
        done = files_of(home)
        assert not list(home.glob("steps/*.parquet.*")), "half a file has a whole one's name"

    assert killed_within >= KILLS // 2
    run_id = next(iter(home.glob("runs/*"))).name
    last = finished(tamis("run", "--resume", run_id, "--json"))
    assert last["status"] == "done"
    assert [step["kept"] for step in last["steps"]] == [step["kept"] for step in whole["steps"]]
    assert kept(home) == kept(tmp_path / "whole")
    assert {name: files_of(home)[name] for name in done} == done


def test_a_killed_run_is_called_interrupted(tamis, tmp_path):
    process = tamis(
        "run", "curate", "--pool", str(DATA / "instructions.jsonl.zst"),
        "--target", str(DATA / "seed_tasks.jsonl"), "--k", "500",
    )  # fmt: skip
    # The whole run may take less time than `tamis runs` does.
    eventually(lambda: [*tmp_path.glob("home/runs/*/run.json")], "the run", every=0.02)
    process.kill()
    process.communicate()
    (run,) = finished(tamis("runs", "--json"))
    assert run["status"] == "interrupted"


COMPARES = """
import json, sys, time
from dataclasses import asdict
sys.path.insert(0, sys.argv[1])
from proxies import WordCounts
import tamis

class Slow(WordCounts):
    def trained(self, rows, **how):
        time.sleep(0.5)
        return super().trained(rows, **how)

def rows(n, first):
    return [{"text": f"w{i % 7} w{i % 5} w{i % 3} w{i}"} for i in range(first, first + n)]

found = tamis.compare(rows(80, 0), rows(20, 200), ["deduplicate", "clean"], k=20, seeds=2, draws=3,
                      proxy=Slow(), whole=False)
results = [{name: value for name, value in asdict(result).items() if "seconds" not in name}
           for result in found.results]
print(json.dumps([results, found.notes, found.overlap.to_pylist(), found.picks.to_pylist()]))
"""
TRIALS = 1 + 3 + 2 * 2  # untrained, draws, two methods


@pytest.mark.timeout(600)
def test_a_killed_comparison_goes_on_to_the_same_table(server, tmp_path):
    def compares(home):
        return subprocess.Popen(
            [sys.executable, "-c", COMPARES, str(Path(__file__).parents[1])],
            env={**os.environ, "TAMIS_HOME": str(tmp_path / home), "PREFECT_API_URL": server},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    whole = finished(compares("whole"))
    assert len(files_of(tmp_path / "whole", "trials")) == TRIALS

    process = compares("home")
    eventually(lambda: len(files_of(tmp_path / "home", "trials")) >= 3, "a trial", every=0.05)
    process.kill()
    process.communicate()
    done = files_of(tmp_path / "home", "trials")
    assert len(done) < TRIALS

    assert finished(compares("home")) == whole
    again = files_of(tmp_path / "home", "trials")
    assert len(again) == TRIALS
    assert {name: again[name] for name in done} == done, "a finished trial was done again"
