"""What comes of generating new instructions from the seed tasks in data/, by any model.

    python -m benchmarks.generation                                     # 200, by the bundled model
    python -m benchmarks.generation --temperature 0.7                   # the paper's
    python -m benchmarks.generation --model 'openai:lm?base_url=http://localhost:8000/v1'

It is what `tamis generate self-instruct` does, with its settings for the bundled model. Of what
the model wrote: how many items of its lists passed each kind of filter; of what was kept: how
many are distinct, and how near they come to the seeds and to each other (ROUGE-L F).
"""

import argparse
import os
import tempfile
import time
import warnings

import numpy as np
from datasets import Dataset

import tamis
from tamis.prompting.generation import SelfInstruct, account_of
from tamis.prompting.generation.configure import FOR_THE_BUNDLED
from tamis.prompting.generation.novelty import RougeL

SEEDS = "data/seed_tasks.jsonl"
NEAR = "like a task before"
NOT_ITEMS = {"cut off", "no answer"}  # whole answers, rather than items of a list
INSTANCE = {"no instance", "no output", "the output is the input", "ends with a colon"}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # the table says what is missing
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAMIS_HOME"] = folder
        settings = dict(FOR_THE_BUNDLED["self-instruct"])
        if arguments.temperature is not None:
            settings["temperature"] = arguments.temperature
        method = SelfInstruct(arguments.model, seed=arguments.seed, **settings)
        started = time.perf_counter()
        pool = method.generate(SEEDS, n=arguments.n)
        _print(pool, account_of(pool), time.perf_counter() - started)


def _print(pool: Dataset, told: dict, seconds: float) -> None:
    refused = told["refused"]
    items = told["tasks"] + sum(n for why, n in refused.items() if why not in NOT_ITEMS)
    near = refused.get(NEAR, 0)
    answers = sum(n for why, n in refused.items() if why in INSTANCE)
    off = items - told["tasks"] - near - answers
    kept = list(dict.fromkeys(pool["instruction"]))
    seeds = RougeL(tamis.load(SEEDS, progress=False)["instruction"])
    to_seeds = np.array([seeds.nearest(text).f for text in kept])
    to_all = np.array(pool["similarity"])
    print(f"{told['tasks']:,} tasks of {told['wanted']:,} ({told['ended']}), {seconds:,.0f} s")
    print(f"  listed by the model        {items:6,}")
    print(f"  off format                 {off:6,}")
    print(f"  like a task before         {near:6,}")
    print(f"  without a sound answer     {answers:6,}")
    print(f"  kept, and of these         {told['tasks']:6,}")
    print(f"    distinct instructions    {len(kept):6,}")
    print(f"    ROUGE-L to seeds < 0.7   {int((to_seeds < 0.7).sum()):6,}")
    print(f"    … median and highest     {np.median(to_seeds):.2f}, {to_seeds.max():.2f}")
    print(f"    … to all before, median  {np.median(to_all):.2f}")
    print(
        f"  {told['requests']:,} requests, {told['prompt_tokens']:,} tokens read, "
        f"{told['completion_tokens']:,} written, by {told['tokens_counted_by']}"
    )


if __name__ == "__main__":
    main()
