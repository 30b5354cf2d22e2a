"""Run pyDVL's values of examples; runs in its own environment.

Arguments: a .npz file with points, labels, queries and answers; 'knn', 'tmc' or 'beta'; and
K, or the seconds after which sampling ends. Leaves `values.npy` beside the file; the last
line printed is a JSON object of seconds on the wall.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")

from pydvl.valuation import (  # noqa: E402
    BetaShapleyValuation,
    KNNShapleyValuation,
    MaxTime,
    ModelUtility,
    PermutationSampler,
    SupervisedScorer,
    TMCShapleyValuation,
)
from pydvl.valuation.dataset import Dataset  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402


def main(path: Path, method: str, limit: int) -> None:
    """Print the seconds."""
    task = np.load(path)
    pool, target = (
        Dataset(task["points"], task["labels"]),
        Dataset(task["queries"], task["answers"]),
    )
    started = time.perf_counter()
    valuation = _valuation(method, target, limit)
    valuation.fit(pool)
    seconds = time.perf_counter() - started
    result = valuation.result
    values = np.empty(len(result))
    values[result.indices] = result.values
    np.save(path.with_name("values.npy"), values)
    print(json.dumps({"seconds": seconds}))


def _valuation(method: str, target: Dataset, limit: int) -> object:
    if method == "knn":
        return KNNShapleyValuation(KNeighborsClassifier(limit), target, progress=False)
    scorer = SupervisedScorer("accuracy", target, default=0.0)
    utility = ModelUtility(LogisticRegression(), scorer, show_warnings=False)
    if method == "tmc":
        return TMCShapleyValuation(utility, is_done=MaxTime(limit), seed=0)
    sampler = PermutationSampler(seed=0)
    return BetaShapleyValuation(utility, sampler, MaxTime(limit), alpha=16, beta=1, progress=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
