"""Shapley values beside pyDVL, on the same vectors and labels, and how they grow.

    python -m benchmarks.shapley
    python -m benchmarks.shapley --peers         # tamis alone
    python -m benchmarks.shapley --grow 10000 100000

Exact values for 5 nearest neighbours. Truncated Monte-Carlo and Beta values are tamis' own,
of 1,000 points (pyDVL, which trains a classifier for each set, did not end in 90 seconds).
Seconds are those on the wall.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.common import answer, environment, spread
from tamis.kernels.knn_shapley import knn_shapley
from tamis.kernels.linear import Lesson, principal
from tamis.kernels.semivalues import estimate, places, weights
from tamis.selectors.data_shapley import play_of

PEERS = {"pydvl": ("pydvl==0.10.0",)}
K, CLASSES = 5, 4


def main() -> None:
    """Print seconds, and how far values are apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--grow", type=int, nargs="*", default=[10_000, 100_000])
    arguments = parser.parse_args()
    knn_shapley(*_task(100, 20, arguments.dimensions), K)  # compiles
    _exact(arguments)
    for rows in arguments.grow:
        task = _task(rows, arguments.queries, arguments.dimensions)
        print(f"  {rows:>9,} rows  {_seconds(lambda task=task: knn_shapley(*task, K)):.2f} s")
    for name, sizes in (("shapley", weights(1000)), ("beta(16, 1)", weights(1000, 16, 1))):
        _sampled(name, sizes, arguments.dimensions)


def _exact(arguments: argparse.Namespace) -> None:
    task = _task(arguments.rows, arguments.queries, arguments.dimensions)
    print(
        f"exact, {arguments.rows:,} rows of {arguments.dimensions}, "
        f"{arguments.queries} target rows; seconds"
    )
    ours = [_seconds(lambda: knn_shapley(*task, K)) for _ in range(arguments.rounds)]
    print(f"  tamis  {spread(ours)}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "task.npz"
        names = ("points", "labels", "queries", "answers")
        np.savez(path, **dict(zip(names, task, strict=True)))
        for peer in arguments.peers:
            python = environment(peer, *PEERS[peer])
            runs = [answer(python, f"peers/run_{peer}.py", path, "knn", K) for _ in ours]
            theirs = [run["seconds"] for run in runs]
            ratios = spread([their / our for their, our in zip(theirs, ours, strict=True)])
            apart = np.abs(np.load(path.with_name("values.npy")) - knn_shapley(*task, K)[0]).max()
            print(f"  {peer}  {spread(theirs)}; tamis is {ratios} times as fast")
            print(f"  values are at most {apart:.1g} apart")


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
