"""Pools larger than memory: a whole `tamis run` beside DuckDB's copy of the same file.

    python -m benchmarks.larger --megabytes 100 1000 5000
    python -m benchmarks.larger --megabytes 1000 --rounds 7      # in turns, and their median
    python -m benchmarks.larger --megabytes 5000 --memory 1500     # no more than so many MB
    python -m benchmarks.larger --growth --megabytes 100 300 1000 2000
    python -m benchmarks.larger --alone --megabytes 4000 --memory 400

A pool is made (`benchmarks.pools`) of so many MB of JSON Lines, packed as .jsonl.zst. DuckDB
reads it and writes it again as .jsonl.zst; tamis loads, cleans, deduplicates, draws a tenth by
DSIR, and writes it, with the catalogue and the report. Each is a process of its own; seconds
are on the wall, and of all cores together (CPU). Memory is the most that the process held of
its own; pages of files that it maps, which the system takes back as it needs them, are beside
it. With `--memory` the system itself allows no more (a control group; needs root), those
pages and all.

`--growth` measures the steps alone, from the loaded pool to the Selection, in CPU seconds of
one thread, and fits seconds = a · bytes^exponent. `--alone` runs each method by itself, over
an Arrow file of so many MB of text, within the limit on memory.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Dataset

from benchmarks.common import CACHE
from benchmarks.pools import DATA, write_arrow, write_pool
from tamis.models.base import Generation, TokenLogprobs

RECIPE = """\
name: larger
pool: {pool}
target: {target}
steps:
  - clean
  - deduplicate: {{near: 0.8}}
  - dsir: {{k: 0.1}}
export: [{out}]
"""
DUCKDB = """
import sys, duckdb
duckdb.execute(f"COPY (FROM read_json('{sys.argv[1]}', format='newline_delimited')) "
               f"TO '{sys.argv[2]}' (FORMAT json, COMPRESSION zstd)")
"""
METHODS = ("clean", "dsir", "deduplicate")  # whose growth is measured
ALONE = (*METHODS, "decontaminate", "lima", "privacy", "alpagasus", "perplexity", "ifd")
GROUPS = Path("/sys/fs/cgroup")


class Instant:
    """A language model that answers at once: a letter costs a nat, after a prompt a half."""

    fingerprint = "instant"

    def logprobs(
        self, prompts: Sequence[str], continuations: Sequence[str] | None = None
    ) -> list[TokenLogprobs]:
        """Return what each word costs; of a text alone the first has no probability."""
        if continuations is None:
            return [_spelt(text, alone=True) for text in prompts]
        return [_spelt(text, alone=False) for text in continuations]

    def generate(self, prompts: Sequence[str], **how: object) -> list[Generation]:
        """Say nothing."""
        return [Generation(("",), ("stop",)) for _ in prompts]


def _spelt(text: str, *, alone: bool) -> TokenLogprobs:
    costs = np.array([-len(word) / (1 if alone else 2) for word in text.split()], np.float32)
    costs[:alone] = np.nan
    at = np.arange(len(costs))
    return TokenLogprobs(text, np.stack([at, at + 1], axis=1), at, costs)


class Cost(NamedTuple):
    """What a process took: seconds, CPU seconds, and MB of its own and of mapped files."""

    wall: float
    cpu: float
    own: float
    mapped: float


def main() -> None:
    """Print a line a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--rounds", type=int, default=1, help="how often, DuckDB and tamis in turn")
    parser.add_argument("--memory", type=int, metavar="MB", help="allow a run no more than this")
    parser.add_argument("--growth", action="store_true", help="the steps alone, and exponents")
    parser.add_argument("--alone", action="store_true", help="each method, within --memory")
    parser.add_argument("--methods", nargs="+", choices=ALONE, default=ALONE)
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "POOL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    CACHE.mkdir(exist_ok=True)
    if arguments.one:
        print(_one(*arguments.one))
    elif arguments.alone:
        _print_alone(arguments.methods, arguments.megabytes, arguments.memory)
    elif arguments.growth:
        _print_growth(arguments.megabytes)
    else:
        _print_runs(arguments.megabytes * arguments.rounds, arguments.memory)


def _print_runs(sizes: list[int], memory: int | None) -> None:
    print("   MB  DuckDB: s (CPU)     tamis run: s (CPU)    times   own MB   mapped MB")
    times: dict[int, list[float]] = {size: [] for size in sizes}
    for size in sizes:
        theirs, ours = _run(size, memory)
        times[size].append(ours.wall / theirs.wall)
        print(
            f"{size:5,}  {theirs.wall:6.1f} ({theirs.cpu:5.1f})      {ours.wall:6.1f} "
            f"({ours.cpu:6.1f})   {times[size][-1]:9.1f}{ours.own:9,.0f}{ours.mapped:12,.0f}",
            flush=True,
        )
    for size, found in times.items():
        if len(found) > 1:
            spread = f"{min(found):.1f} to {max(found):.1f}"
            print(f"{size:,} MB: {np.median(found):.2f} times, the median of {spread}")


def _run(size: int, memory: int | None) -> tuple[Cost, Cost]:
    """Return what DuckDB's copy of a pool costs, and then what a run over it does."""
    python = sys.executable
    with _place(size) as (pool, folder):
        theirs = _cost([python, "-c", DUCKDB, pool, folder / "out.jsonl.zst"], folder, None)
        recipe = folder / "recipe.yaml"
        target = DATA / "seed_tasks.jsonl"
        recipe.write_text(RECIPE.format(pool=pool, target=target, out=folder / "kept.jsonl.zst"))
        return theirs, _cost([python, "-m", "tamis.cli", "run", recipe], folder, memory)


def _print_growth(sizes: list[int]) -> None:
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    print(f"CPU seconds for so many MB{''.join(f'{size:>9,}' for size in sizes)}")
    for size in sizes:
        with _place(size) as (pool, folder):
            for method in METHODS:
                command = [sys.executable, "-m", "benchmarks.larger", "--one", method, str(pool)]
                environment = {**os.environ, "TAMIS_HOME": str(folder / "home")}
                said = subprocess.run(
                    command, env=environment, capture_output=True, text=True, check=True
                )
                seconds[method].append(float(said.stdout))
    for method, found in seconds.items():
        exponent = np.polyfit(np.log(sizes), np.log(found), 1)[0]
        print(f"{method:26}{''.join(f'{s:9.2f}' for s in found)}   exponent {exponent:.3f}")


def _print_alone(methods: Sequence[str], sizes: list[int], memory: int | None) -> None:
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=CACHE) as place:
            folder, pool = Path(place), CACHE / f"pool-{size}.arrow"
            if not pool.exists():
                write_arrow(pool, size)
            for method in methods:
                command = [sys.executable, "-m", "benchmarks.larger", "--one", method, pool]
                cost = _cost(command, folder, memory)
                limit = f"{memory:,} MB allowed" if memory else "no limit"
                print(
                    f"{size:,} MB, {limit}: {method:12}{cost.wall:8.1f} s ({cost.cpu:.1f} CPU), "
                    f"{cost.own:,.0f} MB its own, {cost.mapped:,.0f} MB mapped",
                    flush=True,
                )


def _one(method: str, pool: str) -> float:
    """Return the CPU seconds of a method, on one thread, from the loaded pool on."""
    import tamis
    from tamis import selectors

    target = tamis.load(DATA / "seed_tasks.jsonl", progress=False)
    made = {
        "clean": selectors.Clean(),
        "deduplicate": selectors.Deduplicate(near=0.8),
        "dsir": selectors.DSIR(target=target),
        "decontaminate": selectors.Decontaminate(against=target),
        "lima": selectors.LIMA(),
        "privacy": selectors.Privacy(),
        "alpagasus": selectors.AlpaGasus(),
        "perplexity": selectors.Perplexity(lm=Instant()),
        "ifd": selectors.IFD(lm=Instant()),
    }[method]
    arrow = pool.endswith(".arrow")
    rows = Dataset.from_file(pool) if arrow else tamis.load(pool, progress=False)
    k = 0.1 if made.needs_k else None
    made.select(rows.select(range(2_000)), k, progress=False)  # compiles, for many rows too
    started = time.process_time()
    made.select(rows, k, progress=False)
    return time.process_time() - started


@contextmanager
def _place(megabytes: int) -> Iterator[tuple[Path, Path]]:
    """Give a made pool and an empty folder; the pool is kept for the next time."""
    pool = CACHE / f"pool-{megabytes}.jsonl.zst"
    if not pool.exists():
        part = CACHE / f"part-{megabytes}.jsonl.zst"
        write_pool(part, megabytes)
        part.replace(pool)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        yield pool, Path(folder)


def _cost(command: list[object], folder: Path, memory: int | None) -> Cost:
    """Run a command, with no more memory than so many MB, and measure it."""
    environment = {**os.environ, "TAMIS_HOME": str(folder / "home")}
    said = (folder / "said").open("w")
    before = os.times()
    started = time.perf_counter()
    with _limit(memory) as enter:
        process = subprocess.Popen(
            [str(part) for part in command], env=environment, stdout=said, stderr=said,
            preexec_fn=enter,
        )  # fmt: skip
        own = mapped = 0
        begun: dict[int, float] = {}  # CPU seconds of what it began, which may outlive it
        while process.poll() is None:
            held = _memory(process.pid)
            own, mapped = max(own, held["RssAnon"]), max(mapped, held["RssFile"])
            begun |= _begun_by(process.pid)
            time.sleep(0.05)
    wall, after = time.perf_counter() - started, os.times()
    if process.returncode:
        sys.exit((folder / "said").read_text() or f"ended with code {process.returncode}")
    cpu = sum(after[2:4]) - sum(before[2:4])  # of children that have ended
    return Cost(wall, cpu + sum(begun.values()), own / 1024, mapped / 1024)


def _begun_by(process: int) -> dict[int, float]:
    """Return the CPU seconds so far of each process that this one began, by number."""
    seconds = {}
    with suppress(OSError):  # one of them is just ending
        for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
            figures = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks = int(figures[11]) + int(figures[12])
            seconds[int(child)] = ticks / os.sysconf("SC_CLK_TCK")
    return seconds


def _memory(process: int) -> dict[str, int]:
    """Return the kB that a process holds, by kind; 0 for one that is just ending."""
    held = {"RssAnon": 0, "RssFile": 0}
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return held
    for line in lines:
        name, _, value = line.partition(":")
        if name in held:
            held[name] = int(value.split()[0])
    return held


@contextmanager
def _limit(megabytes: int | None) -> Iterator[object]:
    """Give what puts a new process, and all that it starts, under a limit of memory."""
    if megabytes is None:
        yield None
        return
    first = (GROUPS / "memory").is_dir()  # version 1; 2 has one tree for all that is limited
    group = GROUPS / ("memory/" if first else "") / f"tamis-{os.getpid()}"
    group.mkdir()
    try:
        limit = group / ("memory.limit_in_bytes" if first else "memory.max")
        limit.write_text(str(megabytes * 2**20))
        yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        for _ in range(100):  # what the run started may still be ending
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)


if __name__ == "__main__":
    main()
