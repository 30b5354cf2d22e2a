"""Cross-task neighbours beside plain FAISS, on the same vectors.

    python -m benchmarks.knn

FAISS compares all vectors in float32. tamis has it do so, measures what it found again in
float64, and puts it in order. Seconds are those on the wall; both use all cores.
"""

import argparse
import time

import faiss
import numpy as np

from benchmarks.common import spread
from benchmarks.kcenter import vectors
from tamis.kernels.neighbours import search


def main() -> None:
    """Print seconds, and what share of the neighbours is the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--neighbours", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    points = vectors(arguments.rows + arguments.queries, arguments.dimensions)
    queries, points = points[: arguments.queries], points[arguments.queries :]
    search(points[:1000], queries[:2], 5)  # compiles

    plain, ours = [], []
    for _ in range(arguments.rounds):
        started = time.perf_counter()
        index = faiss.IndexFlatL2(arguments.dimensions)
        index.add(points)
        _, expected = index.search(queries, arguments.neighbours)
        between = time.perf_counter()
        found, _ = search(points, queries, arguments.neighbours)
        plain.append(between - started)
        ours.append(time.perf_counter() - between)
    ratios = spread([our / their for our, their in zip(ours, plain, strict=True)])
    same = np.mean([np.isin(a, b).mean() for a, b in zip(found, expected, strict=True)])
    print(
        f"{arguments.rows:,} rows of {arguments.dimensions}, {arguments.queries:,} queries, "
        f"{arguments.neighbours} neighbours; seconds"
    )
    print(f"  FAISS  {spread(plain)}")
    print(f"  tamis  {spread(ours)}; {ratios} times FAISS' time")
    print(f"  same neighbours  {same:.4%}")


if __name__ == "__main__":
    main()
