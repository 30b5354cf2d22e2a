"""Run tamis' DSIR on an Arrow file; print the most memory that was resident while it did."""

import json
import sys
import threading
from pathlib import Path

from datasets import Dataset

import tamis
from tamis.selectors import DSIR


def main(pool: str, target: str) -> None:
    """Select a tenth of `pool` and print the peak of each kind of memory."""
    rows = Dataset.from_file(pool)
    method = DSIR(target=tamis.load(target, progress=False), seed=0)
    method.select(rows.select(range(10)), 1, progress=False)  # compiles
    peaks = {"RssAnon": 0, "RssFile": 0}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in peaks:
                    peaks[name] = max(peaks[name], int(value.split()[0]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    method.select(rows, 0.1, progress=False)
    done.set()
    watcher.join()
    own, mapped = (kilobytes / 1e3 for kilobytes in peaks.values())
    print(json.dumps({"rows": len(rows), "own": own, "mapped": mapped}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
