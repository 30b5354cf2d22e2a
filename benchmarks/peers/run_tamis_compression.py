"""Compress with tamis: run_tamis_compression.py MODEL PROMPTS METHOD WAY THREADS; one JSON line.

WAY is 'default', 'reference', or 'pass': plain forward passes over the prompt in windows.
"""

import json
import os
import sys
import time
from pathlib import Path

model, path, method, way, threads = sys.argv[1:]
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


results = []
for prompt in json.loads(Path(path).read_text()):
    begin = time.perf_counter()
    if way == "pass":
        text, read = one_pass("\n\n".join([*prompt["contexts"], prompt["question"]]))
    else:
        done = compress(
            contexts=prompt["contexts"],
            question=prompt["question"],
            rate=prompt["rate"],
            method=method,
            lm=lm,
            reference=way == "reference",
            progress=False,
        )
        text, read = done.text, done.model_tokens
    seconds = time.perf_counter() - begin
    results.append({"text": text, "seconds": seconds, "model_tokens": read})
print(json.dumps({"results": results}))
