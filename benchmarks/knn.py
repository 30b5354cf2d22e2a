"""Cross-task neighbours beside plain FAISS, on the same vectors.

    python -m benchmarks.knn

FAISS compares all vectors in float32. tamis has it do so, measures what it found again in
float64, and puts it in order. Seconds are those on the wall; both use all cores.
"""

import argparse
import time
from collections.abc import Iterator

import faiss
import numpy as np

from benchmarks.kcenter import vectors
from benchmarks.results import Row, shown
from tamis.kernels.neighbours import search


def main() -> None:
    """Print what is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--neighbours", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for row in rows(*vars(arguments).values()):
        print(shown(row), flush=True)


def rows(
    n: int = 200_000, n_queries: int = 1000, neighbours: int = 500, rounds: int = 5
) -> Iterator[Row]:
    """Measure the search, and what share of the neighbours is the same."""
    points = vectors(n + n_queries, 384)
    queries, points = points[:n_queries], points[n_queries:]
    search(points[:1000], queries[:2], 5)  # compiles
    plain, ours = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        index = faiss.IndexFlatL2(points.shape[1])
        index.add(points)
        _, expected = index.search(queries, neighbours)
        between = time.perf_counter()
        found, _ = search(points, queries, neighbours)
        plain.append(between - started)
        ours.append(time.perf_counter() - between)
    same = np.mean([np.isin(a, b).mean() for a, b in zip(found, expected, strict=True)])
    yield Row(
        what="nearest neighbours",
        size=f"{n:,} x {points.shape[1]}, {n_queries:,} queries x {neighbours}",
        peer=f"FAISS {faiss.__version__}",
        unit="s",
        tamis=ours,
        theirs=plain,
        wanted=1 / 1.3,
        note=f"{same:.3%} of the neighbours the same",
    )


if __name__ == "__main__":
    main()
