"""k-center beside the plain loop in NumPy, on the same vectors, and how it grows.

    python -m benchmarks.kcenter
    python -m benchmarks.kcenter --grow 10000 100000 1000000

Vectors are float32, drawn around 200 centres, so that neither all nor none of them are near
each other. The plain loop is the quickest that NumPy has: one product of the matrix with the
newest pick a step; its float32 sums swap picks that are equally far to seven digits, where
tamis goes by float64. Seconds are those on the wall; both use all cores.
"""

import argparse
import time

import numpy as np

from benchmarks.common import spread
from tamis.kernels.kcenter import k_center


def main() -> None:
    """Print seconds, and whether the picks are the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--k", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--grow", type=int, nargs="*", default=[10_000, 100_000])
    arguments = parser.parse_args()
    k_center(vectors(100, arguments.dimensions), 3, 0)  # compiles

    points = vectors(arguments.rows, arguments.dimensions)
    print(f"{arguments.rows:,} rows of {arguments.dimensions}, k={arguments.k}; seconds")
    runs = [_both(points, arguments.k) for _ in range(arguments.rounds)]
    print(f"  plain loop  {spread([plain for plain, _, _ in runs])}")
    ratios = spread([plain / ours for plain, ours, _ in runs])
    print(f"  tamis       {spread([ours for _, ours, _ in runs])}; {ratios} times as fast")
    print(f"  same picks  {runs[0][2]:.1%}")
    for rows in arguments.grow:
        points = vectors(rows, arguments.dimensions)
        started = time.perf_counter()
        k_center(points, arguments.k, 0)
        print(f"  {rows:>9,} rows  {time.perf_counter() - started:.2f} s")


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
