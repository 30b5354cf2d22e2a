"""Prompt compression beside llmlingua: its time, and the tokens that both keep.

    python -m benchmarks.compression                  # where tamis[models] is installed
    python -m benchmarks.compression --tokens 8000 --rates 0.5 --model FOLDER

By default the model has GPT-2's shape (124 million parameters) and random weights, which are
as quick as any, and as good for agreement. llmlingua 0.2.2 runs in an environment of its own
with transformers 4.55, the last that it works with. Each way runs in a process of its own;
loading is not timed. 'one pass' is the model's own forward over the prompt, in windows of its
context, with log-probabilities and nothing else. Agreement: of the tokens that llmlingua
keeps, the share that tamis keeps too, in their order; for the reference setting it should
be 1, and for the default it is not meant to be.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import tamis
from benchmarks.common import answer, environment
from benchmarks.scoring import MAKE
from tamis.data import formats

PEER = ("torch", "transformers==4.55.0", "llmlingua==0.2.2")
QUESTION = "Which of these tasks asks for a list?"


def main() -> None:
    """Print seconds, tokens through the model and agreement, for each length and rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", default="data/instructions.jsonl.zst")
    parser.add_argument("--model", help="a folder; default: GPT-2's shape, random weights")
    parser.add_argument("--tokens", type=int, nargs="+", default=[2000, 8000])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.5, 0.25, 0.1])
    parser.add_argument("--methods", nargs="+", default=["llmlingua", "longllmlingua"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", help="a Python that has llmlingua; default: made on the spot")
    arguments = parser.parse_args()
    peer = arguments.peer or environment("llmlingua", *PEER)
    with tempfile.TemporaryDirectory() as folder:
        model, texts = _model(Path(folder), arguments.pool, arguments.model)
        prompts = Path(folder) / "prompts.json"
        for tokens in arguments.tokens:
            contexts = _contexts(texts, model, tokens)
            given = [
                {"contexts": contexts, "question": QUESTION, "rate": rate}
                for rate in arguments.rates
            ]
            prompts.write_text(json.dumps(given))
            for method in arguments.methods:
                print(f"{method}, prompts of about {tokens:,} tokens", flush=True)
                _compare(peer, model, prompts, method, arguments.rates, arguments.threads)


def _compare(
    peer: str | Path, model: Path, prompts: Path, method: str, rates: list[float], threads: int
) -> None:
    script = "peers/run_tamis_compression.py"
    theirs = answer(peer, "peers/run_llmlingua.py", model, prompts, method, threads)["results"]
    ways = {
        way: answer(sys.executable, script, model, prompts, method, way, threads)["results"]
        for way in ("pass", "reference", "default")
    }
    for number, rate in enumerate(rates):
        _print(rate, "llmlingua", theirs[number], None)
        _print(rate, "one pass", ways["pass"][number], None)
        for way in ("reference", "default"):
            mine = ways[way][number]
            _print(rate, f"tamis {way}", mine, _agreement(theirs[number]["text"], mine["text"]))


def _print(rate: float, way: str, result: dict[str, Any], agreement: float | None) -> None:
    same = "" if agreement is None else f", agreement {agreement:.4f}"
    print(
        f"  rate {rate:<4} {way:15} {result['seconds']:6.1f} s, "
        f"{result['model_tokens']:6,} tokens through the model{same}",
        flush=True,
    )


def _agreement(theirs: str, mine: str) -> float:
    """Return the share of their words that are mine, in order."""
    a, b = theirs.split(), mine.split()
    matched = SequenceMatcher(a=a, b=b, autojunk=False).get_matching_blocks()
    return sum(block.size for block in matched) / max(1, len(a))


def _model(folder: Path, pool: str, model: str | None) -> tuple[Path, list[str]]:
    rows = tamis.load(pool, progress=False).with_format("arrow")[:2000]
    texts = formats.fields(rows).text.to_pylist()
    if model is not None:
        return Path(model), texts
    words, made = folder / "texts.json", folder / "model"
    words.write_text(json.dumps(texts))
    subprocess.run([sys.executable, "-c", MAKE, made, words], check=True)
    settings = made / "tokenizer_config.json"  # as transformers 4 names a tokenizer's class
    told = json.loads(settings.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings.write_text(json.dumps(told))
    written = made / "tokenizer.json"  # llmlingua decodes what it keeps
    spelt = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    written.write_text(json.dumps(json.loads(written.read_text()) | {"decoder": spelt}))
    return made, texts


def _contexts(texts: list[str], model: Path, tokens: int) -> list[str]:
    """Return the first of the texts that together have so many tokens."""
    lm = tamis.models.load(f"transformers:{model}", device="cpu")
    held: list[str] = []
    total = 0
    for text in texts:
        if total >= tokens:
            break
        held.append(text)
        total += len(lm.tokenizer(text)["input_ids"])
    return held


if __name__ == "__main__":
    main()
