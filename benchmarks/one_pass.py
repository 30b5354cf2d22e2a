"""Prompt compression beside one forward pass of its model: alone and in batches.

    python -m benchmarks.one_pass
    python -m benchmarks.one_pass --model bundled --tokens 2000 --batches 16 --int8

'one pass' is the model's own forward over the prompts with the log-probability of each token,
in windows of its context, padded together where there are several: the least that a method
can cost which asks this model about every token. By default the model has GPT-2's shape (124
million parameters) and random weights, which are as quick as any. The ways take turns, and a
figure is the least of the rounds, of processor time, so that other programs count for little.
With `--int8` the same model in eight bits, and of the characters that float32 keeps the share
that it keeps too: to be read on a model that was trained.
"""

import argparse
import copy
import time
from collections.abc import Callable

import numpy as np
import torch
import transformers

import tamis
from tamis.data import formats
from tamis.models.int8 import in_int8
from tamis.models.transformers import TransformersLM
from tamis.prompting.compression import Compressed, compress

POOL = "data/instructions.jsonl.zst"
QUESTION = "Which of these tasks asks for a list?"


def main() -> None:
    """Print seconds, their ratio and the tokens through the model, for each size and rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=["gpt2-shape", "bundled"], default="gpt2-shape")
    parser.add_argument("--tokens", type=int, nargs="+", default=[2000, 8000])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.5, 0.25, 0.1])
    parser.add_argument("--methods", nargs="+", default=["llmlingua", "longllmlingua"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--int8", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lm = _model(given.model)
    for size in given.tokens:
        for batch in given.batches:
            prompts = _prompts(lm, size // batch, batch)
            tokens = sum(len(lm.tokenizer(one, verbose=False)["input_ids"]) for one in prompts)
            print(f"{batch} of {tokens / batch:,.0f} tokens", flush=True)
            for method in given.methods:
                exact = _beside(lm, prompts, method, given.rates, given.rounds)
                if given.int8:
                    rounded = _beside(_in_int8(lm), prompts, method, given.rates, given.rounds)
                    for rate, kept in exact.items():
                        same = (kept & rounded[rate]).sum() / kept.sum()
                        print(f"    int8 at {rate}: {same:.1%} of the same characters", flush=True)


def _beside(
    lm: TransformersLM, prompts: list[str], method: str, rates: list[float], rounds: int
) -> dict[float, np.ndarray]:
    """Print a line for each rate; return which characters of the prompts are kept at it."""
    found: dict[float, list[Compressed]] = {}

    def compressed(rate: float) -> None:
        how = {"lm": lm, "method": method, "progress": False}
        found[rate] = compress(prompts, rate=rate, question=QUESTION, **how)

    ways: dict[object, Callable[[], None]] = {"one pass": lambda: one_pass(lm, prompts)}
    ways |= {rate: lambda rate=rate: compressed(rate) for rate in rates}
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(rounds + 1):  # the first warms up
        for name, way in ways.items():
            began = time.process_time()
            way()
            if turn:
                best[name] = min(best[name], time.process_time() - began)
    line = best.pop("one pass")
    for rate, seconds in best.items():
        read = sum(one.model_tokens for one in found[rate])
        print(
            f"  {method:14} rate {rate:<4} {seconds:6.2f} s, one pass {line:6.2f} s, "
            f"ratio {seconds / line:.2f}, {read:,} tokens through the model",
            flush=True,
        )
    return {rate: np.concatenate([_alive(one) for one in done]) for rate, done in found.items()}


def _alive(done: Compressed) -> np.ndarray:
    alive = np.zeros(len(done.original), bool)
    for start, end in done.kept:
        alive[start:end] = True
    return alive


def _in_int8(lm: TransformersLM) -> TransformersLM:
    module = copy.deepcopy(lm.module)
    in_int8(module)
    return TransformersLM(module, tokenizer=lm.tokenizer, device="cpu")


def one_pass(lm: TransformersLM, prompts: list[str]) -> None:
    """Run the model's own forward over the prompts, window after window, padded together."""
    rows = [torch.tensor(lm.tokenizer(one, verbose=False)["input_ids"]) for one in prompts]
    windows = [window for row in rows for window in row.split(lm.context)]
    together = max(1, 2048 // len(windows[0]))
    with torch.inference_mode():
        for at in range(0, len(windows), together):
            some = windows[at : at + together]
            ids = torch.nn.utils.rnn.pad_sequence(some, batch_first=True)
            mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(one) for one in some], True)
            said = lm.module(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
            said.log_softmax(-1).gather(-1, ids[:, 1:, None])


def _model(name: str) -> TransformersLM:
    bundled = tamis.models.load("bundled", device="cpu")
    if name == "bundled":
        return bundled
    module = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()
    return TransformersLM(module, tokenizer=bundled.tokenizer, device="cpu")


def _prompts(lm: TransformersLM, size: int, n: int) -> list[str]:
    """Return `n` prompts of about `size` tokens, of the pool's texts."""
    rows = tamis.load(POOL, progress=False).with_format("arrow")[:4000]
    texts = iter(formats.fields(rows).text.to_pylist())
    prompts = []
    for _ in range(n):
        held: list[str] = []
        total = 0
        while total < size:
            held.append(next(texts))
            total += len(lm.tokenizer(held[-1])["input_ids"])
        prompts.append("\n\n".join(held))
    return prompts


if __name__ == "__main__":
    main()
