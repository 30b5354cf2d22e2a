"""DSIR beside the authors' own package, on the same rows: speed a core, agreement, memory.

    python -m benchmarks.dsir                    # on the sample in data/
    python -m benchmarks.dsir --pool P --target T --rows 5000 --rounds 5
    python -m benchmarks.dsir --memory 50 200 1000   # MB; the pool repeated up to these

Both run fit, score and pick without noise, on one core; seconds are those of the processor,
so other work on the machine counts little. tamis reads its Arrow pool, `data-selection`
(which has no other way) JSON Lines; what tamis takes to read those is in a row of its own.
"""

import argparse
import copy
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

import tamis
from benchmarks.common import answer, environment, spread
from tamis.data import formats
from tamis.data.batches import LocalEngine, map_batches, using
from tamis.data.ids import example_ids
from tamis.selectors import DSIR

PEER = "data-selection==1.0.3"


def main() -> None:
    """Print the tables."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAMIS_HOME"] = str(Path(folder) / "home")
        pool = _texts(arguments.pool, arguments.rows)
        target = _texts(arguments.target, None)
        if arguments.memory:
            _print_memory(pool, target, arguments.memory, Path(folder))
        else:
            _print_speed(pool, target, arguments.rounds, Path(folder))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", default="data/instructions.jsonl.zst")
    parser.add_argument("--target", default="data/seed_tasks.jsonl")
    parser.add_argument("--rows", type=int, help="the first rows of the pool alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, nargs="+", metavar="MB")
    return parser.parse_args()


def _texts(source: str, rows: int | None) -> pa.Table:
    pool = tamis.load(source, progress=False)
    batch = pool.with_format("arrow")[: rows or len(pool)]
    return pa.table({"text": formats.fields(batch).text})


def _print_speed(pool: pa.Table, target: pa.Table, rounds: int, folder: Path) -> None:
    files = [_written(pool, folder / "pool.jsonl"), _written(target, folder / "target.jsonl")]
    megabytes = pc.sum(pc.binary_length(pool["text"])).as_py() / 1e6
    k = pool.num_rows // 10
    print(f"DSIR, {pool.num_rows:,} rows, {megabytes:.1f} MB of text, k = {k:,}, {rounds} rounds")
    python = environment("data-selection", PEER)
    measured: dict[str, list[dict[str, float]]] = {"data-selection": [], "fast": [], "sha256": []}
    for number in range(rounds):
        out = folder / f"round-{number}"
        out.mkdir()
        measured["data-selection"].append(
            answer(python, "peers/run_data_selection.py", *files, k, out)
        )
        for hash in ("fast", "sha256"):
            seconds, weights = _tamis(files, hash, k)
            measured[hash].append(seconds)
            np.save(folder / f"{hash}.npy", weights)
    _print_table(measured, megabytes)
    theirs = np.load(folder / "round-0" / "log_weights.npy")
    for hash in ("fast", "sha256"):
        _print_agreement(hash, np.load(folder / f"{hash}.npy"), theirs, k)


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
    with tempfile.TemporaryDirectory() as home, using(LocalEngine(progress=False)):
        os.environ["TAMIS_HOME"] = home
        pool = timed("load", lambda: tamis.load(files[0], progress=False))
        fitted = timed("fit", lambda: copy.copy(method).fit(pool))
        parts = timed("score", lambda: list(map_batches(pool, fitted.measure)))
        signals = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        timed("pick", lambda: fitted._pick(example_ids(pool), signals, fitted.score_of(signals), k))
    return seconds, signals["log_weight"]


def _print_table(measured: dict[str, list[dict[str, float]]], megabytes: float) -> None:
    steps = ("fit", "score", "pick")
    peer = [sum(run[step] for step in steps) for run in measured["data-selection"]]
    print("MB/s a core: median (least to most)")
    for name, runs in measured.items():
        whole = [sum(run[step] for step in steps) for run in runs]
        rates = {step: spread([megabytes / run[step] for run in runs]) for step in steps}
        rates["fit + score + pick"] = spread([megabytes / seconds for seconds in whole])
        rates["times the peer"] = spread([a / b for a, b in zip(peer, whole, strict=True)])
        if "load" in runs[0]:
            with_load = [seconds + run["load"] for seconds, run in zip(whole, runs, strict=True)]
            rates["with reading JSON Lines"] = spread([megabytes / s for s in with_load])
        print(f"  {name}")
        for what, rate in rates.items():
            print(f"    {what:24} {rate}")


def _print_agreement(hash: str, ours: np.ndarray, theirs: np.ndarray, k: int) -> None:
    ranks = [np.argsort(np.argsort(weights)) for weights in (ours, theirs)]
    spearman = np.corrcoef(*ranks)[0, 1]
    tops = [set(np.argsort(-weights, kind="stable")[:k].tolist()) for weights in (ours, theirs)]
    overlap = len(tops[0] & tops[1]) / k
    apart = np.max(np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-9))
    print(
        f"  log-weights, {hash} against data-selection: Spearman {spearman:.4f}, "
        f"top-{k} overlap {overlap:.3f}, largest relative difference {apart:.2g}"
    )


def _print_memory(pool: pa.Table, target: pa.Table, sizes: list[int], folder: Path) -> None:
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
