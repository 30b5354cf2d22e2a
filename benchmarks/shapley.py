"""Exact nearest-neighbour Shapley values beside pyDVL and opendataval, and how tamis' grow.

    python -m benchmarks.shapley
    python -m benchmarks.shapley --peers         # tamis alone
    python -m benchmarks.shapley --grow 10000 100000 --sampled

Of 5 nearest neighbours, on the same vectors and labels. Truncated Monte-Carlo and Beta values
(`--sampled`) are tamis' own, of 1,000 points: pyDVL, which trains a classifier for each set,
did not end in 90 seconds. opendataval asks for a torch of 2023, which is left out: it runs on
a newer one. Seconds are those on the wall.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.common import answer, environment, in_turns
from benchmarks.results import Row, shown
from tamis.kernels.knn_shapley import knn_shapley
from tamis.kernels.linear import Lesson, principal
from tamis.kernels.semivalues import estimate, places, weights
from tamis.selectors.data_shapley import play_of

PEERS = {"pydvl": ("pydvl==0.10.0",), "opendataval": ("torch==2.13.0",)}
BARE = {
    "opendataval": {
        "bare": ["opendataval==1.3.0"],
        "without": ["torch", "torchvision", "pykeops", "numpy", "pandas"],
    }
}
K, CLASSES, DIMENSIONS = 5, 4, 64


def main() -> None:
    """Print what is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--grow", type=int, nargs="*", default=[])
    parser.add_argument("--sampled", action="store_true")
    arguments = parser.parse_args()
    for row in rows(arguments.rows, arguments.rounds, arguments.peers):
        print(shown(row), flush=True)
    for n in arguments.grow:
        task = _task(n, 500, DIMENSIONS)
        print(f"  {n:>9,} rows  {_seconds(lambda task=task: knn_shapley(*task, K)):.2f} s")
    if arguments.sampled:
        for name, sizes in (("shapley", weights(1000)), ("beta(16, 1)", weights(1000, 16, 1))):
            _sampled(name, sizes, DIMENSIONS)


def rows(n: int = 5000, rounds: int = 3, peers: Sequence[str] = tuple(PEERS)) -> Iterator[Row]:
    """Measure the values of `n` points for 500, and how far apart they are."""
    knn_shapley(*_task(100, 20, DIMENSIONS), K)  # compiles
    task = _task(n, 500, DIMENSIONS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "task.npz"
        np.savez(path, **dict(zip(("points", "labels", "queries", "answers"), task, strict=True)))
        for peer in peers:

            def theirs(peer: str = peer) -> float:
                python = environment(peer, *PEERS[peer], **BARE.get(peer, {}))
                return answer(python, f"peers/run_{peer}.py", path, "knn", K)["seconds"]

            ours, seconds, error = in_turns(
                rounds, lambda: _seconds(lambda: knn_shapley(*task, K)), theirs
            )
            note = ""
            if seconds:
                values = np.load(path.with_name("values.npy"))
                apart = np.abs(values - knn_shapley(*task, K)[0]).max()
                note = f"values at most {apart:.1g} apart"
            yield Row(
                what="exact kNN-Shapley values",
                size=f"{n:,} x {DIMENSIONS}, 500 target rows",
                peer=(*PEERS[peer], *BARE.get(peer, {}).get("bare", ()))[-1].replace("==", " "),
                unit="s",
                tamis=ours,
                theirs=seconds,
                wanted=20 if peer == "pydvl" else None,
                note=note,
                error=error,
            )


def _sampled(name: str, sizes: np.ndarray, dimensions: int) -> None:
    points, labels, queries, answers = _task(1000, 500, dimensions)
    inside, asked = principal(points, queries, 32)
    lesson = Lesson(inside, labels, asked, answers, CLASSES)
    started = time.perf_counter()
    play = play_of(lesson, 0.01, last=places(sizes))
    found = estimate(play, sizes, permutations=20_000, within=0.05)
    print(
        f"  {name}, 1,000 rows  {time.perf_counter() - started:.2f} s, "
        f"{found.permutations} permutations, {found.noise:.1%} of the variance is noise"
    )


def _task(rows: int, queries: int, dimensions: int) -> tuple[np.ndarray, ...]:
    """Return vectors in four classes that overlap, a tenth of the pool's labels wrong."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(CLASSES, dimensions)) * 0.3
    labels, answers = draw.integers(0, CLASSES, rows), draw.integers(0, CLASSES, queries)
    points, asked = (
        (centres[kinds] + draw.normal(size=(len(kinds), dimensions))).astype(np.float32)
        for kinds in (labels, answers)
    )
    wrong = draw.random(rows) < 0.1
    labels[wrong] = draw.integers(0, CLASSES, wrong.sum())
    return points, labels, asked, answers


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
