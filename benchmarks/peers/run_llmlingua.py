"""Compress with llmlingua: run_llmlingua.py MODEL PROMPTS METHOD THREADS; one JSON line.

PROMPTS is a JSON file of {"contexts": [...], "question": "...", "rate": 0.5}. Its reports
count with OpenAI's words, which it would fetch; they are not needed, and words stand in.
"""

import json
import os
import sys
import time

model, path, method, threads = sys.argv[1:]
os.environ["OMP_NUM_THREADS"] = threads

import tiktoken  # noqa: E402 - after the number of threads is set
import torch  # noqa: E402
from transformers import DynamicCache  # noqa: E402


class Spaces:
    """Counts words."""

    def encode(self, text: str) -> list[str]:
        """Return the words."""
        return text.split()


tiktoken.encoding_for_model = lambda name: Spaces()

from llmlingua import PromptCompressor  # noqa: E402 - it asks for the encoding when imported

torch.set_num_threads(int(threads))
compressor = PromptCompressor(model, device_map="cpu", model_config={"trust_remote_code": False})
read = 0
forward = compressor.model.forward


def counted(input_ids: torch.Tensor, past_key_values: object = None, **how: object) -> object:
    """Run the model, and count what goes through it; its cache is a list here, as it once was."""
    global read
    read += input_ids.numel()
    cache = None if past_key_values is None else DynamicCache.from_legacy_cache(past_key_values)
    said = forward(input_ids=input_ids, past_key_values=cache, **how)
    if isinstance(said.past_key_values, DynamicCache):
        said.past_key_values = said.past_key_values.to_legacy_cache()
    return said


compressor.model.forward = counted
LONG = {
    "rank_method": "longllmlingua",
    "condition_in_question": "after",
    "reorder_context": "sort",
    "dynamic_context_compression_ratio": 0.3,
}
with open(path) as stream:  # noqa: PTH123 - this environment has this script alone
    prompts = json.load(stream)
results = []
for prompt in prompts:
    read, begin = 0, time.perf_counter()
    said = compressor.compress_prompt(
        prompt["contexts"],
        question=prompt["question"],
        rate=prompt["rate"],
        **(LONG if method == "longllmlingua" else {}),
    )
    seconds = time.perf_counter() - begin
    text = said["compressed_prompt"]
    results.append({"text": text, "seconds": seconds, "model_tokens": read})
print(json.dumps({"results": results}))
