"""Prompt compression beside llmlingua, and beside one forward pass; the tokens that both keep.

    python -m benchmarks.compression
    python -m benchmarks.compression --tokens 8000 --rates 0.5 --model FOLDER

By default the model has GPT-2's shape (124 million parameters) and random weights, which are
as quick as any, and as good for agreement. llmlingua 0.2.2 runs in an environment of its own
with transformers 4.55, the last that it works with; loading is not timed. 'one forward pass'
is the model's own over the prompt, in windows of its context, with log-probabilities and
nothing else. Of the words that llmlingua keeps, tamis in its reference setting should keep all,
in their order; by default it is not meant to.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import tamis
from benchmarks.common import OURS, answer, environment, in_turns
from benchmarks.results import Row, shown
from tamis.data import formats

POOL = "data/instructions.jsonl.zst"
PEER = ("torch==2.13.0", "transformers==4.55.0", "llmlingua==0.2.2")
QUESTION = "Which of these tasks asks for a list?"
ALL = ("pass", "reference", "default")
TASKS = (
    ("llmlingua", 2000, (0.5, 0.25, 0.1), ALL),
    ("llmlingua", 8000, (0.5, 0.25, 0.1), ("pass", "default")),
    ("longllmlingua", 2000, (0.5,), ("default",)),
)

Task = tuple[str, int, Sequence[float], Sequence[str]]
Ways = dict[str, list[dict[str, Any]]]


def main() -> None:
    """Print what is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", default=POOL)
    parser.add_argument("--model", help="a folder; default: GPT-2's shape, random weights")
    parser.add_argument("--tokens", type=int, nargs="+")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.5, 0.25, 0.1])
    parser.add_argument("--methods", nargs="+", default=["llmlingua", "longllmlingua"])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    given = parser.parse_args()
    asked = [(one, n, given.rates, ALL) for n in given.tokens or () for one in given.methods]
    for row in rows(asked or TASKS, given.pool, given.model, given.rounds, given.threads):
        print(shown(row), flush=True)


def rows(
    tasks: Sequence[Task] = TASKS,
    pool: str = POOL,
    model: str | None = None,
    rounds: int = 2,
    threads: int | None = None,
) -> Iterator[Row]:
    """Measure each task's rates: seconds beside llmlingua's and beside one pass."""
    own = environment("tamis", *OURS)
    with tempfile.TemporaryDirectory() as folder:
        held = tamis.load(pool, progress=False).with_format("arrow")[:2000]
        texts = formats.fields(held).text.to_pylist()
        words, made, prompts = (Path(folder) / name for name in ("texts.json", "model", "prompts"))
        words.write_text(json.dumps(texts))
        lengths = answer(own, "peers/make_model.py", made, words)["tokens"]
        for method, tokens, rates, ways in tasks:
            contexts = _first(texts, lengths, tokens)
            given = [{"contexts": contexts, "question": QUESTION, "rate": rate} for rate in rates]
            prompts.write_text(json.dumps(given))
            rest = (model or made, prompts, method)
            ours, theirs, error = in_turns(
                rounds,
                lambda rest=rest, ways=ways: _ours(own, rest, ways, threads or os.cpu_count()),
                lambda rest=rest: _theirs(rest, threads or os.cpu_count()),
            )
            for number, rate in enumerate(rates):
                yield from _found(
                    method, tokens, rate, _of(ours, number), _of(theirs, number), error
                )


def _ours(own: Path, rest: Sequence[object], ways: Sequence[str], threads: int | None) -> Ways:
    script = "peers/run_tamis_compression.py"
    return dict(answer(own, script, *rest, ",".join(ways), threads)["results"])


def _theirs(rest: Sequence[object], threads: int | None) -> Ways:
    python = environment("llmlingua", *PEER)
    return {"peer": answer(python, "peers/run_llmlingua.py", *rest, threads)["results"]}


def _of(runs: list[Ways], number: int) -> Ways:
    """Return each way's results for one prompt, a result a round."""
    ways = runs[0] if runs else {}
    return {way: [run[way][number] for run in runs] for way in ways}


def _found(
    method: str, tokens: int, rate: float, ours: Ways, theirs: Ways, error: str
) -> Iterator[Row]:
    size = f"about {tokens:,} tokens to {rate:g}"
    read = {way: f"{found[0]['model_tokens']:,}" for way, found in {**ours, **theirs}.items()}
    alike = [
        f"{name}, {_agreement(theirs['peer'][0]['text'], ours[way][0]['text']):.2%} of the words "
        "that it keeps"
        for way, name in (("reference", "in its reference setting"), ("default", "by default"))
        if theirs and way in ours
    ]
    through = f"tokens through the model: {read['default']}"
    yield Row(
        what=method,
        size=size,
        peer=PEER[-1].replace("==", " "),
        unit="s",
        tamis=_seconds(ours["default"]),
        theirs=_seconds(theirs.get("peer", [])),
        note="; ".join([through + "".join(f", its {n}" for n in [read.get("peer")] if n), *alike]),
        error=error,
    )
    if "pass" in ours:
        yield Row(
            what=method,
            size=size,
            peer="one forward pass",
            unit="s",
            tamis=_seconds(ours["default"]),
            theirs=_seconds(ours["pass"]),
            wanted=1 / 1.2,
            note=f"{through}, its {read['pass']}",
        )


def _seconds(results: Sequence[dict[str, Any]]) -> list[float]:
    return [one["seconds"] for one in results]


def _agreement(theirs: str, mine: str) -> float:
    """Return the share of their words that are mine, in order."""
    a, b = theirs.split(), mine.split()
    matched = SequenceMatcher(a=a, b=b, autojunk=False).get_matching_blocks()
    return sum(block.size for block in matched) / max(1, len(a))


def _first(texts: Sequence[str], lengths: Sequence[int], tokens: int) -> list[str]:
    """Return the first of the texts that together have so many tokens."""
    held, total = [], 0
    for text, length in zip(texts, lengths, strict=True):
        if total >= tokens:
            break
        held.append(text)
        total += length
    return held


if __name__ == "__main__":
    main()
