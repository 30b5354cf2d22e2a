"""What is left of prompts after compression: answers at 4x, a reasoning's numbers at 5x.

    python -m benchmarks.survival --questions qa_nq_multidoc20.jsonl.zst --n 40
    python -m benchmarks.survival --chains cot_prompts.jsonl.zst

Questions are rows with `question`, `answers` and 20 `contexts`, of which one holds the answer.
Survival is the share of answers that stand in the compressed text, the log-probability that
of an answer's token to the bundled model after it. Chains are rows with `shots` of `question`
and `answer`: a number of an answer survives where it stands whole in the compressed text at
its own place, a step (a sentence with numbers) where all of its numbers do. Seconds are of
processor time, all prompts together. Every method works with what ships in the package.
"""

import argparse
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

import tamis
from tamis.prompting.compression import compress
from tamis.prompting.compression.evaluation import evaluate_compression
from tamis.prompting.compression.examples import examples

METHODS = ["truncate", "random", "llmlingua", "selective-context", "token-classifier", "pcrl"]
_NUMBER = re.compile(r"\d[\d,.]*(?<![,.])")
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?=\S)[^.!?\n]*)*[.!?\n]?")


def main() -> None:
    """Print a row for each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--chains", type=Path)
    parser.add_argument("--n", type=int, default=40, help="questions")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    arguments = parser.parse_args()
    lm = tamis.models.load("bundled", device="cpu")
    how = {"lm": lm, "tokenizer": lm.tokenizer, "progress": False}
    if arguments.questions:
        _answers(arguments.questions, arguments.n, arguments.methods, how)
    if arguments.chains:
        _reasoning(arguments.chains, arguments.methods, how)


def _answers(path: Path, n: int, methods: list[str], how: dict[str, Any]) -> None:
    held = examples(path, n)
    first, *others = methods
    done = evaluate_compression(
        held.prompts, held.answers, questions=held.questions, rate=0.25, method=first,
        against=others, reader=how["lm"], **how,
    )  # fmt: skip
    print(f"{n} questions, {done.tokens[-2].mean():.0f} tokens each, at 4x")
    for row in done.rows():
        print(
            f"  {row['method']:18} {row['tokens']:7.0f} tokens, survival "
            f"{row['answer_survival']:.3f}, log-probability {row['answer_logprob']:.3f}",
            flush=True,
        )


def _reasoning(path: Path, methods: list[str], how: dict[str, Any]) -> None:
    prompts, answers = _chains(path)
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


def _chains(path: Path) -> tuple[list[str], list[list[tuple[int, int]]]]:
    """Return GSM8K's prompts, and where the answers of each lie."""
    prompts, answers = [], []
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    for row in rows:
        if "gsm8k" not in row["task"]:
            continue
        text, spans = "", []
        for shot in row["shots"]:
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
