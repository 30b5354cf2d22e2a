"""Run the authors' DSIR (`data-selection`) on one core; runs in its own environment.

Arguments: pool and target (JSON Lines with a `text`), how many to keep, a folder to write
to. Leaves `log_weights.npy` there; the last line printed is a JSON object of CPU seconds.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from data_selection import HashedNgramDSIR


def main(pool: str, target: str, k: int, folder: Path) -> None:
    """Leave the log-weights in `folder` and print the seconds of each step."""
    method = HashedNgramDSIR([pool], [target], str(folder), num_proc=1, min_example_length=1)
    seconds = {}
    started = time.process_time()
    for step, run in {
        "fit": lambda: method.fit_importance_estimator(num_tokens_to_fit="all"),
        "score": method.compute_importance_weights,
        "pick": lambda: method.resample(str(folder / "out"), num_to_sample=k, top_k=True),
    }.items():
        run()
        seconds[step] = time.process_time() - started
        started = time.process_time()
    np.save(folder / "log_weights.npy", np.load(method.log_importance_weights_dir / "0.npy"))
    seconds["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
