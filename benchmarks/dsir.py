"""DSIR beside the authors' own package, on the same rows: speed a core, and agreement.

    python -m benchmarks.dsir                    # on the sample in data/, three times over
    python -m benchmarks.dsir --pool P --target T --rows 5000 --rounds 5
    python -m benchmarks.dsir --memory 50 200 1000   # MB; the pool repeated up to these

Both run fit, score and pick without noise, on one core; seconds are those of the processor,
so other work on the machine counts little. tamis reads its Arrow pool, `data-selection`
(which has no other way) JSON Lines, so what tamis takes to read those is in a row of its own.
"""

import argparse
import copy
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

import tamis
from benchmarks.common import answer, environment, in_turns
from benchmarks.results import Row, shown
from tamis.data import formats
from tamis.data.batches import LocalEngine, map_batches, using
from tamis.data.ids import example_ids
from tamis.data.progress import quiet
from tamis.selectors import DSIR

PEER = "data-selection==1.0.3"
POOL, TARGET = "data/instructions.jsonl.zst", "data/seed_tasks.jsonl"
ROWS = 24_000


def main() -> None:
    """Print what is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", default=POOL)
    parser.add_argument("--target", default=TARGET)
    parser.add_argument("--rows", type=int, default=ROWS, help="the pool's rows, over and over")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="+", metavar="MB")
    arguments = parser.parse_args()
    if arguments.memory:
        _print_memory(
            _texts(arguments.pool, None), _texts(arguments.target, None), arguments.memory
        )
        return
    for row in rows(arguments.pool, arguments.target, arguments.rows, arguments.rounds):
        print(shown(row), flush=True)


def rows(pool: str = POOL, target: str = TARGET, n: int = ROWS, rounds: int = 3) -> Iterator[Row]:
    """Measure fit and score, with either hash, and all of it from JSON Lines to the pick."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAMIS_HOME"] = str(Path(folder) / "home")
        texts = _texts(pool, n)
        files = [
            _written(table, Path(folder) / f"{name}.jsonl")
            for name, table in (("pool", texts), ("target", _texts(target, None)))
        ]
        yield from _compared(files, texts, rounds, Path(folder))


def _texts(source: str, n: int | None) -> pa.Table:
    """Return `n` texts of a source, over and over where it has fewer; all of them by default."""
    held = formats.fields(tamis.load(source, progress=False).with_format("arrow")[:]).text
    again = np.arange(n or len(held)) % len(held)
    return pa.table({"text": held.take(pa.array(again))})


def _compared(files: list[Path], texts: pa.Table, rounds: int, folder: Path) -> Iterator[Row]:
    k = texts.num_rows // 10
    out = count()

    def both_hashes() -> dict[str, tuple[dict[str, float], np.ndarray]]:
        return {hash: _tamis(files, hash, k) for hash in ("fast", "sha256")}

    def peer() -> dict[str, float]:
        place = folder / f"round-{next(out)}"
        place.mkdir()
        python = environment("data-selection", PEER)
        return answer(python, "peers/run_data_selection.py", *files, k, place)

    ours, theirs, error = in_turns(rounds, both_hashes, peer)
    megabytes = pc.sum(pc.binary_length(texts["text"])).as_py() / 1e6

    def row(what: str, hash: str, steps: Sequence[str], **more: Any) -> Row:  # noqa: ANN401
        taken = [run[hash][0] for run in ours]
        return Row(
            what=f"DSIR, {what}",
            size=f"{texts.num_rows:,} rows, {megabytes:.0f} MB",
            peer=PEER.replace("==", " "),
            unit="MB/s a core",
            tamis=[megabytes / sum(run[step] for step in steps) for run in taken],
            theirs=[megabytes / sum(run.get(step, 0) for step in steps) for run in theirs],
            error=error,
            **more,
        )

    notes = {"fast": "", "sha256": ""}
    if theirs:
        weights = np.load(folder / "round-0" / "log_weights.npy")
        notes = {hash: _agreement(ours[0][hash][1], weights, k) for hash in notes}
    yield row("fit and score", "fast", ["fit", "score"], wanted=200, least=100, note=notes["fast"])
    yield row("the peer's hash, fit and score", "sha256", ["fit", "score"], note=notes["sha256"])
    yield row("from JSON Lines to the pick", "fast", ["load", "fit", "score", "pick"])


def _written(texts: pa.Table, path: Path) -> Path:
    return tamis.save(Dataset(texts), path)


def _tamis(files: list[Path], hash: str, k: int) -> tuple[dict[str, float], np.ndarray]:
    """Return the seconds of each step on one thread, and the log-weights."""
    seconds: dict[str, float] = {}

    def timed(step: str, run: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it returns
        started = time.process_time()
        result = run()
        seconds[step] = time.process_time() - started
        return result

    target = tamis.load(files[1], progress=False)
    method = DSIR(target=target, hash=hash, temperature=0)
    method.select(target, 1, progress=False)  # compiles
    with tempfile.TemporaryDirectory() as home, quiet(), using(LocalEngine()):
        os.environ["TAMIS_HOME"] = home
        pool = timed("load", lambda: tamis.load(files[0], progress=False))
        fitted = timed("fit", lambda: copy.copy(method).fit(pool))
        parts = timed("score", lambda: list(map_batches(pool, fitted.measure)))
        signals = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        timed("pick", lambda: fitted._pick(example_ids(pool), signals, fitted.score_of(signals), k))
    return seconds, signals["log_weight"]


def _agreement(ours: np.ndarray, theirs: np.ndarray, k: int) -> str:
    """Say how alike the log-weights are, and the best `k` by them."""
    ranks = [np.argsort(np.argsort(weights)) for weights in (ours, theirs)]
    tops = [set(np.argsort(-weights, kind="stable")[:k].tolist()) for weights in (ours, theirs)]
    return (
        f"log-weights' rank correlation {np.corrcoef(*ranks)[0, 1]:.4f}, "
        f"{len(tops[0] & tops[1]) / k:.1%} of the best {k:,} the same"
    )


def _print_memory(pool: pa.Table, target: pa.Table, sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAMIS_HOME"] = str(Path(folder) / "home")
        _print_peaks(pool, target, sizes, Path(folder))


def _print_peaks(pool: pa.Table, target: pa.Table, sizes: list[int], folder: Path) -> None:
    _written(target, folder / "target.jsonl")
    megabytes = pc.sum(pc.binary_length(pool["text"])).as_py() / 1e6
    print("DSIR, peak memory while selecting a tenth, in MB")
    for size in sizes:
        path = folder / f"{size}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, pool.schema) as stream:
            for _ in range(max(1, round(size / megabytes))):
                stream.write_table(pool, max_chunksize=1000)
        peaks = answer(sys.executable, "peers/run_tamis_dsir.py", path, folder / "target.jsonl")
        print(f"  {size:6,} MB of text, {peaks['rows']:9,} rows: {peaks['own']:.0f} of its own, "
              f"{peaks['mapped']:.0f} of files mapped (the system's to take back)")  # fmt: skip
        path.unlink()


if __name__ == "__main__":
    main()
