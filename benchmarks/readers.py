"""Eight readers and a writer on one catalogue: `python -m benchmarks.readers [--seconds 300]`.

Every reader asks for runs, rows and the curated set as fast as it can; the writer records runs
with their pools and steps. A run has two figures that are always written together: a reader
that ever sees one without the other has met a torn read.
"""

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

READERS = 8


def read(home: Path, stop: Path, asked: "multiprocessing.Queue[int]") -> None:
    """Ask until `stop` is there; say how often."""
    from tamis.data.catalog import catalog

    opened, seen, count = catalog(home), 0, 0
    while not stop.exists():
        rows = opened.sql("SELECT cost['seconds'], cost['again'], status FROM runs").fetchall()
        assert all(one == other for one, other, _ in rows), "a torn read of a run"
        assert len(rows) >= seen, "a run is gone"
        seen = len(rows)
        held = opened.sql("SELECT count(*), count(DISTINCT example_id) FROM curated").fetchall()
        assert held in ([(0, 0)], [(3, 3)]), f"a torn read of a set: {held}"
        count += 2
    asked.put(count)


def write(home: Path, stop: Path, wrote: "multiprocessing.Queue[int]") -> None:
    """Record runs until `stop` is there; say how many."""
    from datetime import UTC, datetime

    import numpy as np
    import pyarrow as pa
    from datasets import Dataset

    from tamis.data.catalog import RunRecord, record_run
    from tamis.data.examples import write_examples
    from tamis.data.ids import example_ids
    from tamis.selectors.selection import KEPT, Selection

    pool = Dataset.from_dict({"prompt": list("abcd"), "response": list("efgh")})
    write_examples(pool, home / "pools" / "p" / "examples.parquet")
    reasons = np.array([KEPT, KEPT, KEPT, "dropped"], object)
    verdict = Selection([0, 1, 2], np.arange(4.0), reasons, pa.table({}), example_ids(pool), "x")
    number = 0
    while not stop.exists():
        run_id = f"r{number % 200}"  # a home of a few hundred runs, written again and again
        verdict.save(home / "runs" / run_id / "steps" / "01-x.parquet")
        now, cost = datetime.now(UTC), {"seconds": number, "again": number}
        for status in ("running", "done"):
            record_run(
                RunRecord(run_id=run_id, recipe="r", status=status, started=now, pool="p",
                          finished=now if status == "done" else None, cost=cost),
                home,
            )  # fmt: skip
        number += 1
    wrote.put(number)


def together(seconds: float, home: Path) -> tuple[int, int]:
    """Let them loose for so many seconds; return how many runs were written and queries asked."""
    context = multiprocessing.get_context("spawn")
    asked, wrote = context.Queue(), context.Queue()
    stop = home / "stop"
    home.mkdir(parents=True, exist_ok=True)
    processes = [context.Process(target=read, args=(home, stop, asked)) for _ in range(READERS)]
    processes.append(context.Process(target=write, args=(home, stop, wrote)))
    for process in processes:
        process.start()
    time.sleep(seconds)
    stop.touch()
    for process in processes:
        process.join()
        assert process.exitcode == 0, "somebody met an error; see above"
    return wrote.get(), sum(asked.get() for _ in range(READERS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        written, questions = together(given.seconds, Path(temporary) / "home")
    print(f"{given.seconds:.0f} s: {written:,} runs written, {questions:,} queries, no error")
