"""Run pyDVL's exact nearest-neighbour Shapley values; runs in its own environment.

Arguments: a .npz file with points, labels, queries and answers, and K. Leaves `values.npy`
beside it; the last line printed is a JSON object of seconds on the wall.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")

from pydvl.valuation.dataset import Dataset  # noqa: E402
from pydvl.valuation.methods import KNNShapleyValuation  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402


def main(path: Path, k: int) -> None:
    """Print the seconds."""
    task = np.load(path)
    pool, target = (
        Dataset(task["points"], task["labels"]),
        Dataset(task["queries"], task["answers"]),
    )
    valuation = KNNShapleyValuation(KNeighborsClassifier(k), target, progress=False)
    started = time.perf_counter()
    valuation.fit(pool)
    seconds = time.perf_counter() - started
    result = valuation.result
    values = np.empty(len(result))
    values[result.indices] = result.values
    np.save(path.with_name("values.npy"), values)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
