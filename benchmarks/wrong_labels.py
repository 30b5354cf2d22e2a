"""Wrong labels found by methods that value examples, beside pyDVL's, on the same vectors.

    python -m benchmarks.wrong_labels
    python -m benchmarks.wrong_labels --draws 1 --limit 20
    python -m benchmarks.wrong_labels --methods knn-shapley "pyDVL, nearest neighbours"

Questions by the kind of their answer, six kinds: 450 to value, 250 to be right about. A tenth
of the 450 gets another label, drawn anew for each draw. The figure is the area under the ROC
curve: how often a wrong label is worth less than a right one; its median over the draws, the
least and the most. pyDVL's sampling methods train a classifier for each set, and end after
`--limit` seconds.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from datasets import Dataset

import tamis
from benchmarks.common import HERE, answer, environment, spread
from benchmarks.shapley import PEERS, K
from tamis.kernels.linear import principal
from tamis.models.cached import embeddings
from tamis.models.embeddings import embedder_of
from tamis.selectors import DataShapley, KNNShapley, TransferredShapley

SAMPLE = HERE.parent / "tests" / "golden" / "questions.json"
VALUED, DIMENSIONS = 450, 32
METHODS = {
    "knn-shapley": (KNNShapley, {"neighbours": K}),
    "data-shapley": (DataShapley, {}),
    "data-shapley, beta(16, 1)": (DataShapley, {"semivalue": "beta"}),
    "data-shapley, logistic": (DataShapley, {"learner": "logistic", "permutations": 256}),
    "data-shapley, logistic, beta(16, 1)": (
        DataShapley,
        {"learner": "logistic", "semivalue": "beta", "permutations": 256},
    ),
    "ts-dshapley": (TransferredShapley, {"share": 0.1}),
    "ts-dshapley, logistic": (TransferredShapley, {"share": 0.1, "learner": "logistic"}),
}
THEIRS = {
    "pyDVL, nearest neighbours": ("knn", K),
    "pyDVL, truncated Monte-Carlo": ("tmc", None),
    "pyDVL, beta(16, 1)": ("beta", None),
}


def main() -> None:
    """Print areas and seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--limit", type=int, default=60, help="seconds for each of pyDVL's")
    every = [*METHODS, *THEIRS]
    parser.add_argument("--methods", nargs="*", default=every, choices=every, metavar="NAME")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    arguments = parser.parse_args()
    sample = json.loads(SAMPLE.read_text())
    tasks = [_task(sample["text"], sample["label"], seed) for seed in range(arguments.draws)]
    print(f"{'':36} area under the curve   seconds")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAMIS_HOME"] = folder
        for name in arguments.methods:
            if name in METHODS:
                _report(name, [_ours(name, *task) for task in tasks])
            elif arguments.peers:
                _report(name, [_theirs(name, *task, folder, arguments.limit) for task in tasks])


def _task(texts: list[str], labels: list[str], seed: int) -> tuple[Dataset, Dataset, np.ndarray]:
    """Return the pool with some wrong labels, the target, and which rows are wrong."""
    draw = np.random.default_rng(seed)
    kinds, told = np.unique(labels), np.array(labels)
    wrong = np.zeros(len(texts), bool)
    wrong[draw.choice(VALUED, VALUED // 10, replace=False)] = True
    told[wrong] = [draw.choice(kinds[kinds != label]) for label in told[wrong]]
    every = Dataset.from_dict({"text": texts, "label": told})
    pool, target = every.select(range(VALUED)), every.select(range(VALUED, len(texts)))
    return pool, target, wrong[:VALUED]


def _ours(name: str, pool: Dataset, target: Dataset, wrong: np.ndarray) -> tuple[float, float]:
    kind, settings = METHODS[name]
    valuer = kind(target=target, embedder="bundled", **settings)
    valuer.select(pool.select(range(60)), progress=False)  # compiles
    embeddings(pool, embedder_of("bundled"), progress=False)
    started = time.perf_counter()
    scores = valuer.select(pool, progress=False).scores
    return _area(scores, wrong), time.perf_counter() - started


def _theirs(
    name: str, pool: Dataset, target: Dataset, wrong: np.ndarray, folder: str, limit: int
) -> tuple[float, float]:
    method, argument = THEIRS[name]
    embedder = tamis.models.load_embedder("bundled")
    points, queries = (embedder.embed(part["text"][:]) for part in (pool, target))
    if method != "knn":  # the same components as ours; the constant is the classifier's own
        points, queries = (part[:, 1:] for part in principal(points, queries, DIMENSIONS))
    classes = sorted({*pool["label"]})
    labels, answers = (
        np.array([classes.index(label) for label in part["label"]]) for part in (pool, target)
    )
    path = Path(folder) / "task.npz"
    np.savez(path, points=points, labels=labels, queries=queries, answers=answers)
    python = environment("pydvl", *PEERS["pydvl"])
    run = answer(python, "peers/run_pydvl.py", path, method, argument or limit)
    return _area(np.load(path.with_name("values.npy")), wrong), run["seconds"]


def _area(scores: np.ndarray, wrong: np.ndarray) -> float:
    below = scores[wrong][:, None] < scores[~wrong]
    level = scores[wrong][:, None] == scores[~wrong]
    return float((below + level / 2).mean())


def _report(name: str, runs: list[tuple[float, float]]) -> None:
    areas, seconds = zip(*runs, strict=True)
    print(f"{name:36} {spread(areas):22} {spread(seconds)}", flush=True)


if __name__ == "__main__":
    main()
