"""Log-probabilities on a GPU: tokens a second, and the share of its matrix rate that they take.

    python -m benchmarks.card                        # transformers and vLLM, a Llama of 1.2 billion
    python -m benchmarks.card --device cpu --layers 2 --width 256 --words 2000 --rows 32 \
        --ways transformers                          # tries the code where there is no card

The model has the shape of Llama 3.2 1B (16 layers of 2,048, a vocabulary of 128,256) and random
weights, in bfloat16 on a card; texts are rows of the sample, the same for both. Each way runs in
a process of its own, some rows first. A token costs two operations for each weight that it is
multiplied by; the card's rate is that of a product of two matrices of its type, 8,192 wide on a
card. This has not been run on a card yet.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import tamis
from tamis.data import formats

POOL = Path(__file__).parents[1] / "data" / "instructions.jsonl.zst"
WAYS = ("transformers", "vllm")


def main() -> None:
    """Print the card's rate and a line a way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--words", type=int, default=128_256, help="of the vocabulary")
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "MODEL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_scored(*arguments.one, arguments.device, arguments.rows)))
        return
    rate = matrix_rate(arguments.device)
    print(f"{arguments.device}: {rate / 1e12:.4g} TFLOP/s in products of matrices")
    with tempfile.TemporaryDirectory() as folder:
        weights = make_model(Path(folder), arguments.layers, arguments.width, arguments.words)
        for way in arguments.ways:
            command = [sys.executable, "-m", "benchmarks.card", "--one", way, folder,
                       "--device", arguments.device, "--rows", str(arguments.rows)]  # fmt: skip
            said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(said.stdout.splitlines()[-1])
            speed = found["tokens"] / found["seconds"]
            print(
                f"{way:13}{speed:12,.0f} tokens/s, {2 * weights * speed / rate:.1%} of that rate, "
                f"{found['tokens']:,} tokens; mean {found['mean']:.4f}",
                flush=True,
            )


def matrix_rate(device: str) -> float:
    """Return the operations a second of a product of two square matrices, the best of ten."""
    import torch

    on_card = device == "cuda"
    width, dtype = (8192, torch.bfloat16) if on_card else (2048, torch.float32)
    matrix = torch.ones(width, width, dtype=dtype, device=device)
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        _ = matrix @ matrix
        if on_card:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return 2 * width**3 / min(seconds)


def make_model(folder: Path, layers: int, width: int, words: int) -> int:
    """Write the model; return how many weights a token is multiplied by, the output's too."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    bundled = Path(tamis.__file__).parent / "models" / "bundled" / "lm"
    AutoTokenizer.from_pretrained(bundled).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=max(words, 16_384), hidden_size=width, intermediate_size=4 * width,
        num_hidden_layers=layers, num_attention_heads=width // 64, num_key_value_heads=width // 256,
        max_position_embeddings=4096, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    return sum(weight.numel() for weight in model.parameters() if weight.ndim == 2)


def _scored(way: str, model: str, device: str, rows: int) -> dict[str, Any]:
    """Return tokens, seconds and the mean log-probability of one way."""
    held = tamis.load(POOL, progress=False).with_format("arrow")[:rows]
    texts = formats.fields(held).text.to_pylist()
    options: dict[str, Any] = {"device": device} if way == "transformers" else {}
    if way == "vllm":
        options = {"max_model_len": 4096}
    lm = tamis.models.load(f"{way}:{model}", **options)
    lm.logprobs(texts[:16])
    started = time.perf_counter()
    found = lm.logprobs(texts)
    seconds = time.perf_counter() - started
    values = [value for one in found for value in one.logprobs[1:]]
    return {"tokens": len(values), "seconds": seconds, "mean": float(np.mean(values))}


if __name__ == "__main__":
    main()
