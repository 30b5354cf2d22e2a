"""A thousand kills: a run that is killed at any moment, again and again, loses nothing.

    python -m benchmarks.kills [--kills 1000] [--rows 2000] [--seed 0]

A recipe (clean, deduplicate, k-center by the bundled embedder, an export) runs over a small
pool in a process of its own, which is killed by SIGKILL after a random time and gone on with.
After each kill the catalogue is asked, and the files are looked at; when a run has ended, its
set is held against that of a run nobody killed, and another run begins from nothing.

A process is forked from one that has imported all and done nothing: so a kill meets work, not
imports. Prefect is left out; `tests/flows/test_killed.py` kills whole flows, `test_nights.py`
those of a worker.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import warnings
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from tqdm import tqdm

from tamis.data.catalog import catalog

ROOT = Path(__file__).parents[1]
RECIPE = """\
name: killed
pool: {pool}
steps:
  - clean
  - deduplicate: {{near: 0.8}}
  - kcenter: {{k: 200}}
export: [{export}]
"""
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    [
        "tamis.pipelines.export",
        "tamis.pipelines.runs",
        "tamis.selectors.clean",
        "tamis.selectors.deduplicate",
        "tamis.selectors.kcenter",
    ]
)


class Lost(Exception):
    """Something was lost, doubled or torn; the text says what."""


def run(recipe: Path, home: Path) -> None:
    """Go on with the run of this home that did not end, or begin one."""
    tqdm.set_lock(threading.RLock())  # one between processes would outlive those that are killed
    os.environ["TAMIS_HOME"] = str(home)
    sys.path.insert(0, str(ROOT / "tests"))
    from offline import ran

    from tamis.pipelines import runs

    newest = next(iter(runs.runs()), None)
    ran(recipe.read_text(), newest.id if newest and newest.status != "done" else None)


def started(recipe: Path, home: Path) -> ForkServerProcess:
    """Start a process that does it."""
    process = FORKING.Process(target=run, args=(recipe, home))
    process.start()
    return process


def finished(recipe: Path, home: Path) -> float:
    """Run to the end; return the seconds it took."""
    begun = time.perf_counter()
    process = started(recipe, home)
    process.join()
    if process.exitcode:
        raise Lost("a run failed; see above")
    return time.perf_counter() - begun


def curated(home: Path) -> list[dict[str, object]]:
    """Return what the newest run kept."""
    path = max(home.glob("runs/*/curated.parquet"))
    return pq.read_table(path, columns=["tamis_id", "tamis_rank", "tamis_score"]).to_pylist()


def check(home: Path, rows: int) -> None:
    """Raise Lost unless every file is whole and the catalogue answers."""
    for path in home.rglob("*.parquet"):
        if not path.name.startswith("."):
            pq.read_metadata(path)
    file = home / "catalog.duckdb"
    if file.exists():
        with duckdb.connect(str(file), read_only=True) as opened:
            opened.execute("SELECT count(*) FROM runs").fetchall()
    with warnings.catch_warnings(), catalog(home) as asked:
        warnings.simplefilter("error")  # what is damaged is left out with a warning
        pools = asked.sql(
            "SELECT count(*), count(DISTINCT example_id) FROM examples GROUP BY run_id"
        ).fetchall()
        doubled = asked.sql(
            "SELECT count(*) - count(DISTINCT (run_id, step, example_id)) FROM selections"
        ).fetchall()
    if any(counts != (rows, rows) for counts in pools):
        raise Lost(f"a pool of {rows} rows has {pools}")
    if doubled != [(0,)]:
        raise Lost(f"{doubled} verdicts stand twice")


def kill_again_and_again(kills: int, rows: int, seed: int, folder: Path) -> dict[str, float]:
    """Kill runs `kills` times; return how many ended, and how many kills met one at work.

    Raises
    ------
    Lost
        At the first thing that is.
    """
    draw = random.Random(seed)
    pool, recipe = folder / "pool.jsonl", folder / "recipe.yaml"
    words = "name list find write make tell the a of red blue moon star sea bread river".split()  # noqa: SIM905
    pool.write_text(
        "".join(
            json.dumps({"prompt": f"{n} {' '.join(draw.choices(words, k=8))}",
                        "completion": " ".join(draw.choices(words, k=30))}) + "\n"
            for n in range(rows)
        )
    )  # fmt: skip
    recipe.write_text(RECIPE.format(pool=pool, export=folder / "out.jsonl"))
    finished(recipe, folder / "first")  # compiles the kernels, if need be
    seconds = finished(recipe, folder / "whole")
    whole, home = curated(folder / "whole"), folder / "home"
    met = ended = 0
    for _ in range(kills):
        process = started(recipe, home)
        process.join(draw.uniform(0, 1.1) * seconds)
        met += process.is_alive()
        process.kill()
        process.join()
        check(home, rows)
        if process.exitcode == 0:
            ended += 1
            compare(home, whole, folder / "out.jsonl")
            shutil.rmtree(home)
    finished(recipe, home)
    check(home, rows)
    compare(home, whole, folder / "out.jsonl")
    return {"kills": kills, "met a run at work": met, "runs that ended": ended + 1,
            "seconds of a run": seconds}  # fmt: skip


def compare(home: Path, whole: list[dict[str, object]], export: Path) -> None:
    """Raise Lost unless the set, and the file exported, are those of the run nobody killed."""
    if curated(home) != whole:
        raise Lost("the set differs from that of the run that nobody killed")
    ids = [json.loads(line)["tamis_id"] for line in export.read_text().splitlines()]
    if ids != [row["tamis_id"] for row in whole]:
        raise Lost("the export differs from the set")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        begun = time.perf_counter()
        facts = kill_again_and_again(given.kills, given.rows, given.seed, Path(temporary))
        facts["seconds in all"] = time.perf_counter() - begun
    for name, value in facts.items():
        print(f"{name:20} {value:10,.1f}")
    print("nothing lost, nothing twice, the same set each time")
