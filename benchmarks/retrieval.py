"""Which methods find rows of the target's own task in a pool of many tasks.

    python -m benchmarks.retrieval
    python -m benchmarks.retrieval p3_pool.jsonl.zst --tasks dataset --rows 2000 --methods dsir

Some rows of each task are taken out of the pool; those of one task are the target, and its
others are to be found. Precision at k is the share of them among the k best, k the number
that there is; it is averaged over the tasks that have enough rows, with its standard error
over them. Beside the methods: a random draw, which finds a task's share of the pool, and
BM25 (the sum of a row's scores for the target's prompts). Bundled models; seconds are of all
cores together, and gradients are computed once for all targets.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

import tamis
from tamis import selectors
from tamis.data import formats
from tamis.kernels import bm25

DATA = Path(__file__).parent.parent / "data" / "instructions.jsonl.zst"
METHODS: dict[str, Callable[[Dataset, int], Any]] = {
    "random": lambda target, k: selectors.Random(),
    "dsir": lambda target, k: selectors.DSIR(target=target, temperature=0),
    "dsir, normalised": lambda target, k: selectors.DSIR(
        target=target, temperature=0, length_normalise=True
    ),
    "cross-task-knn": lambda target, k: selectors.CrossTaskKNN(target=target, neighbours=max(1, k)),
    "less": lambda target, k: selectors.LESS(target=target, task=""),
}


def main() -> None:
    """Print precision and seconds of each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", nargs="?", default=str(DATA))
    parser.add_argument("--tasks", default="task", help="column that names the task")
    parser.add_argument("--rows", type=int, default=1000, help="of the pool, drawn by chance")
    parser.add_argument("--target", type=int, default=16, help="rows of a target")
    parser.add_argument("--most", type=int, default=8, help="tasks")
    parser.add_argument("--methods", nargs="*", default=[*METHODS, "bm25"])
    arguments = parser.parse_args()
    pool = tamis.load(arguments.pool, progress=False).shuffle(seed=0)
    pool = pool.select(range(min(arguments.rows, len(pool))))
    tasks = np.array(pool[arguments.tasks][:], str)
    counts = Counter(tasks.tolist()).most_common(arguments.most)
    wanted = [task for task, count in counts if count >= 2 * arguments.target]
    print(f"{len(pool):,} rows, {len(set(tasks.tolist()))} tasks; {len(wanted)} of them wanted, "
          f"{arguments.target} rows of each as target")  # fmt: skip
    given = {task: np.flatnonzero(tasks == task)[: arguments.target] for task in wanted}
    rest = np.setdiff1d(np.arange(len(pool)), np.concatenate([*given.values()]))
    for name in arguments.methods:
        started, found = time.process_time(), []
        for task in wanted:
            found.append(
                _precision(name, pool.select(rest), tasks[rest] == task, pool.select(given[task]))
            )
        seconds = time.process_time() - started
        error = np.std(found, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.nan
        print(f"  {name:18} {np.mean(found):6.1%} ± {error:.1%}   {seconds:8.1f} s", flush=True)


def _precision(name: str, pool: Dataset, own: np.ndarray, target: Dataset) -> float:
    """Return the share of the task's rows among as many best as there are."""
    k = int(own.sum())
    if name == "bm25":
        best = _bm25(pool, target)[:k]
    else:
        best = METHODS[name](target, k).select(pool, k, progress=False).indices
    return float(own[best].sum() / k)


def _bm25(pool: Dataset, target: Dataset) -> np.ndarray:
    """Return rows of the pool, those first whose words the target's prompts share most."""
    texts, queries = (
        formats.buffers(formats.fields(rows.with_format("arrow")[:]).prompt)
        for rows in (pool, target)
    )
    ranked, scores = bm25.best(bm25.index_of(*texts), *queries, len(pool))
    sums = np.zeros(len(pool))
    for rows, found in zip(ranked, scores, strict=True):
        sums[rows[rows >= 0]] += found[rows >= 0]
    return np.argsort(-sums, kind="stable")


if __name__ == "__main__":
    main()
