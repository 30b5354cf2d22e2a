"""Compress with tamis: run_tamis_compression.py MODEL PROMPTS METHOD WAYS THREADS; one JSON line.

WAYS are some of 'default', 'reference' and 'pass' (plain forward passes over the prompt in
windows), with commas between; they take turns prompt by prompt.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

model, path, method, ways, threads = sys.argv[1:]
os.environ["OMP_NUM_THREADS"] = threads

import torch  # noqa: E402 - after the number of threads is set

import tamis  # noqa: E402
from tamis.prompting import compress  # noqa: E402

torch.set_num_threads(int(threads))
lm = tamis.models.load(f"transformers:{model}", device="cpu")
lm.logprobs(["Tried once, so that what is done at the first call is done."])


def one_pass(text: str) -> tuple[str, int]:
    """Run the model's own forward over the text, window after window."""
    ids = torch.tensor([lm.tokenizer(text, verbose=False)["input_ids"]])
    with torch.inference_mode():
        for window in ids.split(lm.context, dim=1):
            lm.module(input_ids=window, use_cache=False).logits.log_softmax(-1)
    return text, ids.numel()


def compressed(prompt: dict[str, Any], reference: bool) -> tuple[str, int]:
    """Return what is left of a prompt, and the tokens that went through the model."""
    done = compress(
        contexts=prompt["contexts"],
        question=prompt["question"],
        rate=prompt["rate"],
        method=method,
        lm=lm,
        reference=reference,
        progress=False,
    )
    return done.text, done.model_tokens


results: dict[str, list[dict[str, Any]]] = {way: [] for way in ways.split(",")}
for prompt in json.loads(Path(path).read_text()):
    for way, found in results.items():
        begin = time.perf_counter()
        if way == "pass":
            text, read = one_pass("\n\n".join([*prompt["contexts"], prompt["question"]]))
        else:
            text, read = compressed(prompt, reference=way == "reference")
        seconds = time.perf_counter() - begin
        found.append({"text": text, "seconds": seconds, "model_tokens": read})
print(json.dumps({"results": results}))
