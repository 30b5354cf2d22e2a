"""Log-probabilities of texts beside plain transformers and vLLM, on the same model and texts.

    python -m benchmarks.scoring                      # where tamis[models] is installed
    python -m benchmarks.scoring --vllm PYTHON        # and vLLM, in the environment of PYTHON

The model has GPT-2's shape (124 million parameters) and random weights, which are as quick
as any; the texts are rows of a pool. Each way runs in a process of its own, in float32 on
the CPU, one warming batch first; rounds take turns. Plain transformers scores sorted
batches of 8, padded. Tokens are those scored; padding is not counted. Peak memory is the
process's largest, from its start: Python, libraries and weights are in it. vLLM may keep to
one core of the two; tokens a second of processor are beside tokens a second for that reason.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import tamis
from benchmarks.common import answer, spread
from tamis.data import formats

MAKE = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
folder, texts = sys.argv[1:]
words = Tokenizer(models.BPE())
words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
alphabet = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(vocab_size=16000, initial_alphabet=alphabet, show_progress=False)
words.train([texts], trainer)
PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(folder)
GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
"""


def main() -> None:
    """Print tokens a second and peak memory of each way, and how far their figures lie apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", default="data/instructions.jsonl.zst")
    parser.add_argument("--rows", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vllm", help="the Python of an environment with vLLM")
    arguments = parser.parse_args()
    pythons = {"plain": sys.executable, "tamis": sys.executable}
    if arguments.vllm:
        pythons["vllm"] = arguments.vllm
    with tempfile.TemporaryDirectory() as folder:
        texts, model = Path(folder) / "texts.json", Path(folder) / "model"
        pool = tamis.load(arguments.pool, progress=False)
        rows = formats.fields(pool.with_format("arrow")[: arguments.rows]).text.to_pylist()
        texts.write_text(json.dumps([row[:2500] for row in rows]))
        subprocess.run([sys.executable, "-c", MAKE, model, texts], check=True)
        runs = defaultdict(list)
        for _ in range(arguments.rounds):
            for way, python in pythons.items():
                script = "peers/run_scoring.py"
                runs[way].append(answer(python, script, way, model, texts, arguments.threads))
                _print(way, runs)


def _print(way: str, runs: dict[str, list[dict[str, float]]]) -> None:
    first, found = runs["plain"][0], runs[way]
    if len(found) == 1 and way == "plain":
        print(f"{first['tokens']:,} tokens in {first['texts']} texts; median (least to most)")
    speed = spread([run["tokens"] / run["seconds"] for run in found])
    worked = spread([run["tokens"] / run["cpu_seconds"] for run in found])
    memory = spread([run["peak_bytes"] / 1e9 for run in found])
    apart = abs(found[0]["mean"] - first["mean"])
    print(
        f"{way:6} {speed} tokens/s, {worked} tokens a second of processor, "
        f"peak {memory} GB, mean {apart:.1e} from plain"
    )


if __name__ == "__main__":
    main()
