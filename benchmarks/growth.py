"""What each method costs as the pool grows, and what it would cost for a million rows.

    python -m benchmarks.growth
    python -m benchmarks.growth --methods dsir kcenter cross-task-knn --sizes 10000 100000 1000000
    python -m benchmarks.growth --seconds 600 --write docs/selectors.md

Every figure is a process of its own with an empty store, so embeddings, losses and gradients
are computed, by the bundled models. A pool is the sample in data/, over and over, each time
with another number behind its prompts. A size that would take longer than `--seconds`, going
by the one before, is not run: what is said for it is scaled from the last size that was, in
proportion to the rows, with a tilde. Seconds are of all cores together (CPU time), so that
neighbours on the machine do not count; memory is the most that the process held.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

import tamis
from tamis import selectors
from tamis.data import formats

DATA = Path(__file__).parent.parent / "data"
MILLION = 1_000_000
SIZES = [10_000, 100_000, MILLION]
LABELS = 4


def _several(target: Dataset) -> list[Any]:
    return [selectors.DSIR(target=target), selectors.KCenter()]


class Method(NamedTuple):
    """How a method is made for a target, and the size of pool to begin with."""

    make: Callable[[Dataset], Any]
    first: int = 10_000


METHODS = {
    "random": Method(lambda target: selectors.Random()),
    "clean": Method(lambda target: selectors.Clean()),
    "privacy": Method(lambda target: selectors.Privacy()),
    "decontaminate": Method(lambda target: selectors.Decontaminate(against={"target": target})),
    "deduplicate": Method(lambda target: selectors.Deduplicate(near=0.8)),
    "deduplicate semantic": Method(lambda target: selectors.Deduplicate(semantic=0.95)),
    "dsir": Method(lambda target: selectors.DSIR(target=target)),
    "cross-task-knn": Method(lambda target: selectors.CrossTaskKNN(target=target)),
    "kcenter": Method(lambda target: selectors.KCenter()),
    "facility-location": Method(lambda target: selectors.FacilityLocation(), 1000),
    "coreset": Method(lambda target: selectors.Coreset(target=target)),
    "knn-shapley": Method(lambda target: selectors.KNNShapley(target=target)),
    "ts-dshapley": Method(lambda target: selectors.TransferredShapley(target=target)),
    "data-shapley": Method(lambda target: selectors.DataShapley(target=target), 300),
    "quota": Method(lambda target: selectors.Quota(methods=_several(target))),
    "vote": Method(lambda target: selectors.Vote(methods=_several(target))),
    "lima": Method(lambda target: selectors.LIMA(source="source")),
    "alpagasus": Method(lambda target: selectors.AlpaGasus(least=0)),
    "deita": Method(lambda target: selectors.DEITA()),
    "perplexity": Method(lambda target: selectors.Perplexity(), 300),
    "ifd": Method(lambda target: selectors.IFD(), 300),
    "instruct-mining": Method(lambda target: selectors.InstructMining(), 300),
    "mods": Method(lambda target: selectors.MoDS(), 300),
    "less": Method(lambda target: selectors.LESS(target=target), 150),
    "doremi": Method(lambda target: selectors.DoReMi(domain="source")),
}


def main() -> None:
    """Print a row a method: seconds and memory at each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--seconds", type=float, default=120, help="that a size may take")
    parser.add_argument("--write", type=Path, help="a page whose tables get the figures")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "ROWS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_one(arguments.one[0], int(arguments.one[1]))))
        return
    head = "".join(f"{size:>12,}" for size in arguments.sizes)
    print(f"CPU seconds for so many rows{'':>6}{head}    µs a row      memory at so many rows")
    for name in arguments.methods:
        try:
            grown = _grown(name, arguments.sizes, arguments.seconds)
        except subprocess.CalledProcessError as error:
            print(f"{name:34}   {(error.stderr.strip().splitlines() or ['failed'])[-1]}")
            continue
        print(f"{name:34}{grown.shown(arguments.sizes)}", flush=True)
        if arguments.write:
            _write(arguments.write, name, grown)


class Grown(NamedTuple):
    """CPU seconds by rows, and the memory at most of them."""

    seconds: dict[int, float]
    megabytes: float

    def at(self, rows: int) -> tuple[float, str]:
        """Return the seconds for so many rows, and a tilde where they are scaled."""
        if rows in self.seconds:
            return self.seconds[rows], ""
        last = max(self.seconds)
        return self.seconds[last] * rows / last, "~"

    @property
    def each(self) -> float:
        """Microseconds a row, at most rows."""
        last = max(self.seconds)
        return 1e6 * self.seconds[last] / last

    def shown(self, sizes: list[int]) -> str:
        """Return the cells of a line."""
        found = [self.at(size) for size in sizes]
        cells = "".join(f"{f'{tilde}{seconds:,.1f}':>12}" for seconds, tilde in found)
        return f"{cells}{self.each:>12,.0f}{self.megabytes:>9,.0f} MB {max(self.seconds):>9,}"


def _grown(name: str, sizes: list[int], limit: float) -> Grown:
    seconds: dict[int, float] = {}
    megabytes = 0.0
    for size in sorted({min(METHODS[name].first, *sizes), *sizes}):
        if seconds and Grown(seconds, 0).at(size)[0] > limit:
            break
        found = _apart(name, size)
        seconds[size], megabytes = found["seconds"], found["megabytes"]
    return Grown(seconds, megabytes)


def _write(page: Path, name: str, grown: Grown) -> None:
    """Put the figures where the page's tables have the method's name.

    A row of five cells gets what a million rows cost in the fourth; one of six is all
    figures: what three sizes cost, then time and memory a row.
    """
    lines = page.read_text().splitlines()
    for i, line in enumerate(lines):
        cells = line.split(" | ")
        if cells[0] != f"| `{name}`":
            continue
        if len(cells) == 5:
            lines[i] = " | ".join([*cells[:3], _said(*grown.at(MILLION)), *cells[4:]])
        elif len(cells) == 6:
            costs = [_said(*grown.at(size)) for size in SIZES]
            held = f"{grown.megabytes:,.0f} MB at {max(grown.seconds):,} |"
            lines[i] = " | ".join([cells[0], *costs, f"{grown.each:,.0f} µs", held])
    page.write_text("\n".join(lines) + "\n")


def _said(seconds: float, tilde: str) -> str:
    unit, size = next(
        (unit, size)
        for unit, size in (("days", 86400), ("h", 3600), ("min", 60), ("s", 1))
        if seconds >= 2 * size or size == 1
    )
    figure = seconds / size
    return f"{tilde}{figure:.0f} {unit}" if figure >= 10 else f"{tilde}{figure:.2g} {unit}"


def _apart(name: str, rows: int) -> dict[str, float]:
    """Measure in a process of its own, with a store of its own."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.growth", "--one", name, str(rows)],
            env={**os.environ, "TAMIS_HOME": home}, cwd=DATA.parent, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _one(name: str, rows: int) -> dict[str, float]:
    target = _labelled(tamis.load(DATA / "seed_tasks.jsonl", progress=False).select(range(80)))
    METHODS[name].make(target).select(_pool(40, start=10**6), 5, progress=False)  # compiles
    pool, started = _pool(rows), time.process_time()
    METHODS[name].make(target).select(pool, max(1, min(1000, rows // 10)), progress=False)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "megabytes": peak}


def _pool(rows: int, start: int = 0) -> Dataset:
    """Return the sample's rows again and again, numbered from `start`."""
    sample = tamis.load(DATA / "instructions.jsonl.zst", progress=False)
    batch = sample.with_format("arrow")[:]
    said, sources = formats.fields(batch), formats.sources(batch)
    again = np.resize(np.arange(len(sample)), rows)
    numbers = pa.array(np.arange(start, start + rows)).cast(pa.large_string())
    space = pa.scalar(" ", pa.large_string())
    prompts = pc.binary_join_element_wise(said.prompt.take(pa.array(again)), numbers, space)
    table = {
        "prompt": prompts,
        "response": said.response.take(pa.array(again)),
        "source": sources.take(pa.array(again)),
    }
    return _labelled(Dataset(pa.table(table)))


def _labelled(pool: Dataset) -> Dataset:
    """Give every row one of a few classes, for the methods that value labels."""
    labels = (np.arange(len(pool)) * 7 % LABELS).astype(str)
    return pool.add_column("label", labels.tolist())


if __name__ == "__main__":
    main()
