"""k-center beside the plain loop in NumPy and MoDS' own, on the same vectors, and how it grows.

    python -m benchmarks.kcenter
    python -m benchmarks.kcenter --grow 10000 100000 1000000

Vectors are float32, drawn around 200 centres, so that neither all nor none of them are near
each other. The plain loop is the quickest that NumPy has: one product of the matrix with the
newest pick a step; its float32 sums swap picks that are equally far to seven digits, where
tamis goes by float64. Seconds are those on the wall; all use all cores.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import answer, environment, in_turns
from benchmarks.results import Row, shown
from tamis.kernels.kcenter import k_center

MODS = ("numpy==2.3.5", "scikit-learn==1.9.1")
DIMENSIONS = 384


def main() -> None:
    """Print what is found, and the seconds of more rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--grow", type=int, nargs="*", default=[])
    arguments = parser.parse_args()
    for row in rows(arguments.rounds):
        print(shown(row), flush=True)
    for n in arguments.grow:
        points = vectors(n, DIMENSIONS)
        started = time.perf_counter()
        k_center(points, 1000, 0)
        print(f"{n:>9,} rows, k=1000  {time.perf_counter() - started:.2f} s")


def rows(rounds: int = 3) -> Iterator[Row]:
    """Measure both loops; MoDS', which takes long, on fewer rows."""
    k_center(vectors(100, DIMENSIONS), 3, 0)  # compiles
    points, k = vectors(50_000, DIMENSIONS), 1000
    runs = [_both(points, k) for _ in range(rounds)]
    yield Row(
        what="k-center, beside the plain loop",
        size=f"{len(points):,} x {DIMENSIONS}, k = {k:,}",
        peer=f"NumPy {np.__version__}",
        unit="s",
        tamis=[ours for _, ours, _ in runs],
        theirs=[plain for plain, _, _ in runs],
        wanted=3,
        note=f"{runs[0][2]:.1%} of the picks the same",
    )
    yield _beside_mods(vectors(20_000, DIMENSIONS), 500, rounds)


def _beside_mods(points: np.ndarray, k: int, rounds: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.npy"
        np.save(path, points)

        def tamis() -> tuple[float, np.ndarray]:
            started = time.perf_counter()
            picks, _ = k_center(points, k, 0)
            return time.perf_counter() - started, picks

        def mods() -> dict[str, Any]:
            return answer(environment("mods", *MODS), "peers/run_mods_kcenter.py", path, k)

        ours, theirs, error = in_turns(rounds, tamis, mods)
    same = [np.mean(ours[0][1] == run["picks"]) for run in theirs[:1]]
    return Row(
        what="k-center, beside MoDS' loop",
        size=f"{len(points):,} x {DIMENSIONS}, k = {k:,}",
        peer=f"its loop on {MODS[1].replace('==', ' ')}",
        unit="s",
        tamis=[seconds for seconds, _ in ours],
        theirs=[run["seconds"] for run in theirs],
        note="".join(f"{share:.1%} of the picks the same" for share in same),
        error=error,
    )


def vectors(rows: int, dimensions: int) -> np.ndarray:
    """Return float32 vectors around 200 centres, half as far from them as those are apart."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(200, dimensions)).astype(np.float32)
    points = draw.standard_normal((rows, dimensions), np.float32)
    points *= 0.5
    points += centres[draw.integers(0, 200, rows)]
    return points


def _both(points: np.ndarray, k: int) -> tuple[float, float, float]:
    started = time.perf_counter()
    expected = _plain(points, k)
    between = time.perf_counter()
    picks, _ = k_center(points, k, 0)
    ended = time.perf_counter()
    return between - started, ended - between, float((picks == expected).mean())


def _plain(points: np.ndarray, k: int) -> list[int]:
    squares = np.einsum("nd,nd->n", points, points)
    gap, pick, picks = np.full(len(points), np.inf, np.float32), 0, []
    for _ in range(k):
        picks.append(pick)
        np.minimum(gap, squares + squares[pick] - 2 * (points @ points[pick]), out=gap)
        gap[pick] = -np.inf
        pick = int(gap.argmax())
    return picks


if __name__ == "__main__":
    main()
