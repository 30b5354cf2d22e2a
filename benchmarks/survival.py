"""What is left of prompts after compression: answers at 4x, a reasoning's numbers at 5x.

    python -m benchmarks.survival --questions DATA/qa_nq_multidoc20.jsonl.zst
    python -m benchmarks.survival --chains DATA/cot_prompts.jsonl.zst
    python -m benchmarks.survival --problems DATA

Questions are rows with `question`, `answers` and 20 `contexts`, of which one holds the answer;
the file's first 500, on some of which defaults were chosen, are left out. Survival is the
share of answers that stand in the compressed text, with its 95 % interval (Wilson's); the
log-probability is that of an answer's token to the bundled model after it. Beside the methods
of the package stand BM25, which puts the documents in order and cuts after a quarter, and
llmlingua 0.2.2 with the same language model. Chains are rows with `shots` of `question` and
`answer`, or eight of GSM8K's problems that training held out: a number of an answer survives
where it stands whole in the compressed text at its own place, a step (a sentence with
numbers) where all of its numbers do; seconds are of processor time, all prompts together.
Every method works with what ships in the package.
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import zstandard

import tamis
from benchmarks.common import answer, environment
from tamis.data import formats
from tamis.kernels import bm25
from tamis.models import bundled
from tamis.prompting.compression import compress
from tamis.prompting.compression.evaluation import _holds, _logprobs
from tamis.prompting.compression.examples import Examples, examples
from tamis.prompting.compression.result import Compressed
from training import data

METHODS = ["truncate", "random", "llmlingua", "selective-context", "token-classifier", "pcrl"]
ASKED = ["longllmlingua", "bm25", "llmlingua 0.2.2", "longllmlingua 0.2.2"]
PEER = ("torch==2.13.0", "transformers==4.55.0", "llmlingua==0.2.2")
TUNED = 500  # questions
_NUMBER = re.compile(r"\d[\d,.]*(?<![,.])")
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?=\S)[^.!?\n]*)*[.!?\n]?")

Chains = tuple[list[str], list[list[tuple[int, int]]]]


def main() -> None:
    """Print a row for each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--chains", type=Path)
    parser.add_argument("--problems", type=Path, help="a folder as for training/")
    parser.add_argument("--n", type=int, default=100, help="questions")
    parser.add_argument("--methods", nargs="+", help="default: all")
    parser.add_argument("--peer", help="a Python that has llmlingua; default: made on the spot")
    given = parser.parse_args()
    lm = tamis.models.load("bundled", device="cpu")
    how = {"lm": lm, "tokenizer": lm.tokenizer, "progress": False}
    if given.questions:
        methods = given.methods or [*METHODS, *ASKED, "whole", "nothing"]
        _answers(examples(_untuned(given.questions), given.n), methods, how, given.peer)
    if given.chains:
        _reasoning(_shots(given.chains), given.methods or METHODS, how)
    if given.problems:
        _reasoning(_problems(given.problems), given.methods or METHODS, how)


def _untuned(path: Path) -> list[dict[str, Any]]:
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines][TUNED:]


def _answers(held: Examples, methods: list[str], how: dict[str, Any], peer: str | None) -> None:
    print(f"{len(held.prompts)} questions at 4x")
    for method in methods:
        texts = _shortened(method, held, how, peer)
        alive = np.array([_holds(*pair) for pair in zip(texts, held.answers, strict=True)])
        tokens = [len(how["tokenizer"](text, verbose=False)["input_ids"]) for text in texts]
        said = _logprobs(how["lm"], [_done(text) for text in texts], held.answers)
        print(
            f"  {method:20} {np.mean(tokens):6.0f} tokens, survival {_share(alive)}, "
            f"log-probability {np.mean(said):.3f}",
            flush=True,
        )


def _share(alive: np.ndarray) -> str:
    """Return a share with Wilson's interval."""
    n, p, z = len(alive), alive.mean(), 1.96
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return f"{p:.3f} ({low:.2f} to {high:.2f})"


def _done(text: str) -> Compressed:
    return Compressed(text, ((0, len(text)),), text, 0, 0, 0, "")


def _shortened(method: str, held: Examples, how: dict[str, Any], peer: str | None) -> list[str]:
    """Return each question's documents and question, made a quarter."""
    asked = list(zip(held.prompts, held.questions, strict=True))
    if method.endswith("0.2.2"):
        return _theirs(method.partition(" ")[0], asked, peer)
    rate = {"whole": 1.0, "nothing": 0.0}.get(method, 0.25)
    if method == "bm25":
        asked = [(_by_bm25(documents, question), question) for documents, question in asked]
    name = "truncate" if method in ("bm25", "whole", "nothing") else method
    return [
        compress(contexts=documents, question=question, rate=rate, method=name, **how).text
        for documents, question in asked
    ]


def _by_bm25(documents: Sequence[str], question: str) -> list[str]:
    """Return the documents, those first that share the question's rare words."""
    index = bm25.index_of(*formats.buffers(pa.array(documents, pa.large_string())))
    query = formats.buffers(pa.array([question], pa.large_string()))
    (best,), _ = bm25.best(index, *query, len(documents))
    found = [int(i) for i in best if i >= 0]
    return [documents[i] for i in dict.fromkeys([*found, *range(len(documents))])]


def _theirs(method: str, asked: list[tuple[Any, str]], peer: str | None) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.json"
        given = [{"contexts": list(d), "question": q, "rate": 0.25} for d, q in asked]
        prompts.write_text(json.dumps(given))
        python = peer or environment("llmlingua", *PEER)
        done = answer(python, "peers/run_llmlingua.py", bundled("lm"), prompts, method, 1)
    return [one["text"] for one in done["results"]]


def _reasoning(chains: Chains, methods: list[str], how: dict[str, Any]) -> None:
    prompts, answers = chains
    print(f"{len(prompts)} chain-of-thought prompts at 5x")
    for method in methods:
        began = time.process_time()
        done = compress(prompts, rate=0.2, method=method, **how)
        seconds = time.process_time() - began
        told = [
            _survived(one.original, spans, one.kept)
            for one, spans in zip(done, answers, strict=True)
        ]
        numbers, steps = (np.concatenate([row[i] for row in told]).mean() for i in (0, 1))
        rate = np.mean([one.rate for one in done])
        print(
            f"  {method:18} rate {rate:.3f}, numbers {numbers:.3f}, steps {steps:.3f}, "
            f"{seconds:.1f} s",
            flush=True,
        )


def _shots(path: Path) -> Chains:
    """Return GSM8K's prompts, and where the answers of each lie."""
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return _chains([row["shots"] for row in rows if "gsm8k" in row["task"]])


def _problems(folder: Path) -> Chains:
    """Return prompts of eight problems that training held out."""
    held = [
        row | {"answer": re.sub(r"<<[^>]*>>", "", row["answer"])}
        for row in data.rows(folder, "gsm8k")
        if data.is_held_out(row["question"])
    ]
    return _chains([held[at : at + 8] for at in range(0, len(held) - 7, 8)])


def _chains(shots: list[list[dict[str, str]]]) -> Chains:
    prompts, answers = [], []
    for some in shots:
        text, spans = "", []
        for shot in some:
            text += f"Question: {shot['question']}\nAnswer: "
            spans.append((len(text), len(text) + len(shot["answer"])))
            text += f"{shot['answer']}\n\n"
        prompts.append(text)
        answers.append(spans)
    return prompts, answers


def _survived(
    text: str, answers: Sequence[tuple[int, int]], kept: Sequence[tuple[int, int]]
) -> tuple[list[bool], list[bool]]:
    """Return which numbers, and which sentences with numbers, are left whole."""
    alive = np.zeros(len(text), bool)
    for start, end in kept:
        alive[start:end] = True
    numbers: list[bool] = []
    steps: list[bool] = []
    for start, end in answers:
        for sentence in _SENTENCE.finditer(text, start, end):
            own = [
                bool(alive[slice(*found.span())].all())
                for found in _NUMBER.finditer(text, *sentence.span())
            ]
            numbers += own
            steps += [all(own)] if own else []
    return numbers, steps


if __name__ == "__main__":
    main()
