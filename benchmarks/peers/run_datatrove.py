"""Run datatrove's four MinHash steps (14 bands of 8) on one core; in its own environment.

Arguments: texts (JSON Lines with a `text`). The last line printed is a JSON object.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


def main(path: Path) -> None:
    """Print the seconds and the rows dropped."""
    config = MinhashConfig()
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "in").mkdir()
        (here / "in" / "texts.jsonl").write_bytes(path.read_bytes())
        reader = JsonlReader(str(here / "in"))
        steps = [
            ([reader, MinhashDedupSignature(str(here / "signed"), config)], 1),
            ([MinhashDedupBuckets(str(here / "signed"), str(here / "pairs"), config=config)], 14),
            ([MinhashDedupCluster(str(here / "pairs"), str(here / "removed"), config)], 1),
            (
                [
                    reader,
                    MinhashDedupFilter(str(here / "removed"), JsonlWriter(str(here / "out"))),
                    JsonlWriter(str(here / "kept"), compression=None),
                ],
                1,
            ),
        ]
        started = time.process_time()
        for number, (pipeline, tasks) in enumerate(steps):
            logs = str(here / f"logs-{number}")
            LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=logs).run()
        seconds = time.process_time() - started
        kept = set()
        for part in (here / "kept").glob("*.jsonl"):
            kept |= {int(json.loads(line)["id"].split("/")[-1]) for line in part.open()}
        count = len(path.read_text().splitlines())
    print(json.dumps({"seconds": seconds, "dropped": sorted(set(range(count)) - kept)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
