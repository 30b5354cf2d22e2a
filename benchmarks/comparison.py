"""What a comparison costs: four methods beside random draws, three seeds, k = 1000.

    python -m benchmarks.comparison [--k 1000] [--seeds 3] [--methods dsir ifd kcenter deita]

The pool is the sample in `data/` (8,000 rows), the target its seed tasks; the proxy is the
bundled model, and the whole pool is trained on too where `tamis.compare` does so. Everything
is done anew, in a home that is thrown away. There is no peer: none trains to find out.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import tamis

DATA = Path(__file__).parents[1] / "data"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--k", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["dsir", "ifd", "kcenter", "deita"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["TAMIS_HOME"] = home
        started = time.perf_counter()
        found = tamis.compare(
            DATA / "instructions.jsonl.zst",
            DATA / "seed_tasks.jsonl",
            given.methods,
            k=given.k,
            seeds=given.seeds,
        )
        minutes = (time.perf_counter() - started) / 60
    rows = sum(trial["rows"] for trial in found.trials.to_pylist())
    tokens = sum(trial["tokens"] for trial in found.trials.to_pylist())
    print(found)
    print(
        f"\n{found.trials.num_rows} trainings on {rows:,} rows ({tokens:,} tokens) and "
        f"{len(given.methods)} selections from {found.facts['pool_rows']:,} rows: "
        f"{minutes:.1f} minutes, {os.cpu_count()} cores"
    )
