"""Ray beside this process, with one worker and with two, and what sharded choices lose.

    python -m benchmarks.engines
    python -m benchmarks.engines --only speed --rounds 5    # in turns, and their medians

Rows are made of the words of the sample in `data/`: its instructions, each answered by another
run of them. When a selection begins its functions are compiled, Ray and its processes have
started and hold the model, as after a run's first selection; no feature is there to be reused.
Two threads of this process are beside two workers, as what the machine's second core gives.

What two rounds lose is told beside the exact choice: for k-center, how far the farthest example
is left from its nearest kept one, and how far the mean one; for DEITA's filter, how many are
kept without a `k`, and which with one.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from datasets import Dataset

import tamis
from tamis.data.batches import using
from tamis.data.ids import example_ids
from tamis.data.pools import stored
from tamis.data.progress import quiet
from tamis.kernels.diversity import diverse
from tamis.kernels.kcenter import Cover, cover
from tamis.models.embeddings import points_by_id
from tamis.pipelines.engines import opened
from tamis.selectors import DSIR, IFD, Clean, Deduplicate
from tamis.selectors.base import Selector
from tamis.selectors.sharded import sharded_cover, sharded_diverse, shards_of

DATA = Path(__file__).parents[1] / "data"

METHODS = ("clean", "dsir", "deduplicate", "ifd")
SHARDS = (2, 8, 32)
WARM_ROWS = 20_000  # tasks enough for every worker to start

Case = tuple[Selector, Dataset, int | None]
Answer = tuple[float, list[int]]

ENGINES = (("local", 1), ("local", 2), ("ray", 1), ("ray", 2))


def main() -> None:
    """Print seconds by engine, and the loss by number of shards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--lm-rows", type=int, default=600)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=1, help="of speed")
    parser.add_argument("--only", choices=["speed", "loss"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="of speed")
    arguments = parser.parse_args()
    if arguments.only != "loss":
        speed(arguments.rows, arguments.lm_rows, arguments.methods, arguments.rounds)
    if arguments.only != "speed":
        loss(arguments.points, arguments.k)


def speed(rows: int, lm_rows: int, methods: Sequence[str], rounds: int) -> None:
    """Print the seconds of scorers with one thread here and two, and with one worker and two."""
    sample = tamis.load(DATA / "instructions.jsonl.zst", progress=False)
    target = tamis.load(DATA / "seed_tasks.jsonl", progress=False)
    with _own_home(), quiet():
        pool, few = (
            stored(mixtures(sample, count, seed)) for seed, count in enumerate((rows, lm_rows))
        )
        for data in (pool, few):
            example_ids(data)  # they are remembered, and would count for the first alone
        cases: list[Case] = [
            (Clean(), pool, None),
            (DSIR(target=target), pool, 1000),
            (Deduplicate(), pool, None),
            (IFD(lm="bundled"), few, few.num_rows // 10),
        ]
        cases = [case for case in cases if case[0].name in methods]
        found = [[_seconds(*engine, cases) for engine in ENGINES] for _ in range(rounds)]
    size = pool.data.nbytes / 1e6
    print(f"seconds; {rows:,} rows, {size:,.0f} MB, for the model {lm_rows:,} rows")
    for number, case in enumerate(cases):
        answers = [[engine[number] for engine in turn] for turn in found]
        seconds = np.array([[there for there, _ in turn] for turn in answers])
        sets = [kept for turn in answers for _, kept in turn]
        here, _, one, two = np.median(seconds, axis=0)
        print(
            f"  {case[0].name:<12} here {here:6.2f}, two threads {_times(seconds[:, :2])}"
            f"  ray: one worker {one:6.2f}, two {two:6.2f}, {_times(seconds[:, 2:])}"
            f"  same set: {all(kept == sets[0] for kept in sets)}"
        )


def _times(seconds: np.ndarray) -> str:
    """Return how many times as fast the second is as the first, in each round: the median."""
    times = seconds[:, 0] / seconds[:, 1]
    return f"{np.median(times):.2f} times ({times.min():.2f} to {times.max():.2f})"


def loss(points: int, k: int) -> None:
    """Print what two rounds lose against one, on vectors of the sample and on drawn ones."""
    sample = tamis.load(DATA / "instructions.jsonl.zst", progress=False)
    with _own_home(), quiet():
        rows, vectors = points_by_id(sample, "bundled")
    own = example_ids(sample)[rows]
    draw = np.random.default_rng(0)
    drawn = np.frombuffer(draw.bytes(16 * points), "V16")
    for name, ids, given in (("the sample", own, vectors), ("clusters", drawn, clustered(points))):
        _covers(name, ids, given, k)
        order = draw.permutation(len(given))  # from best to worst, whatever the vectors are
        for most in (0.9, 0.6):
            _filters(name, ids[order], given[order], most, k)


def _covers(name: str, ids: np.ndarray, vectors: np.ndarray, k: int) -> None:
    exact = cover(vectors, k, 0)
    print(
        f"k-center, {len(vectors):,} vectors of {name}, k={k}: the exact choice's distances are 1"
    )
    for shards in SHARDS:
        found = sharded_cover(vectors, shards_of(ids, shards), k, 0)
        print(
            f"  {shards:>2} shards  farthest {_radius(found) / _radius(exact):.3f}"
            f"  mean {_mean(found) / _mean(exact):.3f}"
        )


def _filters(name: str, ids: np.ndarray, vectors: np.ndarray, most: float, k: int) -> None:
    whole = diverse(vectors, most, len(vectors)).picks
    print(f"DEITA's filter, vectors of {name}, cosine at most {most}: {len(whole):,} are kept")
    for shards in SHARDS:
        parts = shards_of(ids, shards)
        every = sharded_diverse(vectors, parts, most, len(vectors))[0].picks
        best = sharded_diverse(vectors, parts, most, k)[0].picks
        print(
            f"  {shards:>2} shards  {len(every) / len(whole):.3f} of that;"
            f" of the best {k} {np.isin(best, whole[:k]).mean():.1%} are the same"
        )


def mixtures(sample: Dataset, rows: int, seed: int = 0) -> list[dict[str, str]]:
    """Return `rows` instructions, each answered by another run of the sample's words."""
    draw = np.random.default_rng(seed)
    asked = sample["instruction"][:]
    words = " ".join(sample["output"][:]).split()
    starts, lengths = draw.integers(0, len(words) - 160, rows), draw.integers(40, 160, rows)
    return [
        {
            "instruction": asked[row % len(asked)],
            "output": " ".join(words[start : start + length]),
        }
        for row, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True))
    ]


def clustered(rows: int) -> np.ndarray:
    """Return float32 vectors of 128 around 2,000 centres."""
    draw = np.random.default_rng(1)
    centres = draw.standard_normal((2000, 128), np.float32)
    spread = draw.uniform(0.1, 0.8, (rows, 1)).astype(np.float32)
    return centres[draw.integers(0, 2000, rows)] + spread * draw.standard_normal(
        (rows, 128), np.float32
    )


def _seconds(name: str, workers: int, cases: list[Case]) -> list[Answer]:
    """Return the seconds of each selection, and the rows that it keeps."""
    with opened(name, workers=workers) as engine, using(engine):
        found = []
        for selector, pool, k in cases:
            warm = pool.select(range(min(len(pool) // 4, WARM_ROWS)))
            with _own_home():
                selector.choose(warm, k and 10)  # compiles, starts the workers, loads the model
            with _own_home():  # no feature is there to be reused
                started = time.perf_counter()
                picked = selector.choose(pool, k)
                found.append((time.perf_counter() - started, picked.indices.tolist()))
    return found


@contextmanager
def _own_home() -> Iterator[None]:
    before = os.environ.get("TAMIS_HOME", "")  # empty is as if there were none
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAMIS_HOME"] = folder
        yield
    os.environ["TAMIS_HOME"] = before


def _radius(found: Cover) -> float:
    """Return the distance that the farthest point is left from its nearest pick."""
    return float(np.delete(found.gap, found.picks).max())


def _mean(found: Cover) -> float:
    return float(np.delete(found.gap, found.picks).mean())


if __name__ == "__main__":
    main()
