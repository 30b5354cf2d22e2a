"""Score texts in one of three ways: run_scoring.py WAY MODEL TEXTS THREADS."""

import json
import os
import resource
import sys
import time
from collections.abc import Callable

way, model, path, threads = sys.argv[1:]
os.environ |= {
    "OMP_NUM_THREADS": threads,
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": f"0-{int(threads) - 1}",  # by itself it leaves one core out
    "VLLM_LOGGING_LEVEL": "ERROR",
}

import numpy as np  # noqa: E402 - after the number of threads is set

BATCH = 8


def tamis_way() -> Callable[[list[str]], list[float]]:
    """Score with tamis."""
    import tamis

    lm = tamis.models.load(f"transformers:{model}", device="cpu")
    return lambda texts: [value for one in lm.logprobs(texts) for value in one.logprobs[1:]]


def plain_way() -> Callable[[list[str]], list[float]]:
    """Score sorted batches, padded, as a loop over transformers does."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    module = AutoModelForCausalLM.from_pretrained(model).eval()

    @torch.inference_mode()
    def score(texts: list[str]) -> list[float]:
        rows = sorted(tokenizer(texts)["input_ids"], key=len)
        found = []
        for at in range(0, len(rows), BATCH):
            some = [torch.tensor(row[:1024]) for row in rows[at : at + BATCH]]
            ids = torch.nn.utils.rnn.pad_sequence(some, batch_first=True)
            lengths = torch.tensor([len(row) for row in some])
            mask = torch.arange(ids.shape[1]) < lengths[:, None]
            logits = module(input_ids=ids, attention_mask=mask.long()).logits
            foretold = logits[:, :-1].float().log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
            found += foretold[mask[:, 1:]].tolist()
        return found

    return score


def vllm_way() -> Callable[[list[str]], list[float]]:
    """Score with vLLM's own prompt log-probabilities."""
    from vllm import LLM, SamplingParams

    llm = LLM(model=model, dtype="float32", max_model_len=1024, enable_prefix_caching=False)
    how = SamplingParams(max_tokens=1, prompt_logprobs=0, flat_logprobs=True, detokenize=False)

    def score(texts: list[str]) -> list[float]:
        said = llm.generate(texts, how, use_tqdm=False)
        return [value for one in said for value in one.prompt_logprobs.logprobs]

    return score


score = {"tamis": tamis_way, "plain": plain_way, "vllm": vllm_way}[way]()
with open(path) as stream:  # noqa: PTH123 - vLLM's environment has this script alone
    texts = json.load(stream)
score(texts[:8])
begin, worked = time.perf_counter(), time.process_time()
scores = score(texts)
print(
    json.dumps(
        {
            "texts": len(texts),
            "tokens": len(scores),
            "mean": float(np.mean(scores)),
            "seconds": time.perf_counter() - begin,
            "cpu_seconds": time.process_time() - worked,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    )
)
