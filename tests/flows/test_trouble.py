"""What a night can bring: two runs at once, readers, a full disk, a place no one may write."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tamis
from tamis.errors import DataError, RunError
from tamis.pipelines import runs

pytestmark = pytest.mark.usefixtures("server")
DATA = Path(__file__).parents[2] / "data"
POOL, TARGET = DATA / "instructions.jsonl.zst", DATA / "seed_tasks.jsonl"


def started(server, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tamis.cli", "run", "curate", "--pool", str(POOL),
         "--target", str(TARGET), *arguments, "--json"],
        env={**os.environ, "PREFECT_API_URL": server},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_two_runs_at_once_and_a_reader_all_go_well(server):
    both = [started(server, "--k", "300"), started(server, "--k", "400")]
    catalogue, seen = tamis.catalog(), set()
    while any(process.poll() is None for process in both):
        seen |= set(catalogue.sql("SELECT run_id, status FROM runs").fetchall())
        catalogue.sql("SELECT count(*), max(score) FROM scores").fetchall()
        time.sleep(0.05)
    ended = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert {status for _, status in seen} == {"running", "done"}
    kept = catalogue.sql(
        "SELECT run_id, count(*) FROM selections WHERE kept AND step = 3 GROUP BY 1"
    )
    assert sorted(count for _, count in kept.fetchall()) == [300, 400]


def test_one_run_is_not_run_twice_at_once(server):
    first = started(server, "--k", "300")
    while not runs.runs() and first.poll() is None:
        time.sleep(0.05)
    (begun,) = runs.runs()
    first.send_signal(signal.SIGSTOP)  # or it may be done before the other is so far
    try:
        with pytest.raises(RunError, match="another process is running it"):
            tamis.run("", resume=begun.id, progress=False)
    finally:
        first.send_signal(signal.SIGCONT)
    _, errors = first.communicate(timeout=300)
    assert first.returncode == 0, errors
    assert runs.find(begun.id).status == "done"


def test_an_export_that_cannot_be_written_fails_in_one_line_and_loses_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    recipe = tmp_path / "small.yaml"
    recipe.write_text(
        f"name: small\npool: {POOL}\nsteps:\n  - random: {{k: 50}}\n"
        f"export: [{tmp_path}/file/out.parquet]\n"
    )
    with pytest.raises(DataError, match=r"out\.parquet: cannot be written") as raised:
        tamis.run(recipe, progress=False)
    assert "\n" not in str(raised.value)
    (failed,) = runs.runs()
    assert failed.status == "failed"
    assert len(failed.dataset) == 50  # what was written before it stays
    (tmp_path / "file").unlink()
    done = tamis.run("", resume=failed.id, progress=False)
    assert [step.reused for step in done.outcomes] == [True]
    assert (tmp_path / "file" / "out.parquet").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 12 MB; a function makes it larger."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(size, *options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options])]
        return subprocess.run([*command, "tamis-test", disk], capture_output=True, check=False)

    if os.geteuid() != 0 or mount("12m").returncode != 0:
        pytest.skip("mounting a small disk takes root")
    yield disk, lambda: mount("200m", "remount")
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(
    small_disk, monkeypatch, tmp_path
):
    disk, enlarge = small_disk
    recipe = tmp_path / "small.yaml"
    recipe.write_text(f"name: small\npool: {POOL}\nsteps:\n  - random: {{k: 50}}\n")
    monkeypatch.setenv("TAMIS_HOME", str(disk / "home"))
    filler = disk / "filler"
    filler.write_bytes(bytes(8 * 2**20))
    with pytest.raises(DataError, match="No space left on device") as raised:
        tamis.run(recipe, progress=False)
    assert "\n" not in str(raised.value)
    enlarge()
    (failed,) = runs.runs()
    done = tamis.run("", resume=failed.id, progress=False)
    assert done.status == "done"
    assert len(done.dataset) == 50


def test_rows_in_a_pool_that_say_nothing_useful_are_named(tmp_path):
    pool = tmp_path / "pool.jsonl"
    pool.write_text("".join(json.dumps({"score": number}) + "\n" for number in range(5)))
    recipe = tmp_path / "small.yaml"
    recipe.write_text(f"name: small\npool: {pool}\nsteps:\n  - random: {{k: 2}}\n")
    with pytest.raises(DataError, match="among the columns score"):
        tamis.run(recipe, progress=False)
