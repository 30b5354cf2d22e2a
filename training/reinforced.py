"""Train PCRL's bundled policy on the bundled token classifier's encoder.

    python -m training.reinforced DATA WORK --steps 300     # after training.token_classifier

Prompts are the open instructions of up to 128 tokens; the reward asks the bundled language
model. A policy that lies in WORK/compressor/ already learns on, from prompts in the order that
`--seed` draws. The folder is what `tamis.models.policy.load_policy` loads.
"""

import argparse
import random
import time
from pathlib import Path

import torch
import transformers

import tamis
from tamis.models.policy import Policy, load_policy, save_policy
from tamis.models.tagger import Tagger
from tamis.prompting.compression.policy_gradient import Step, learn
from training import data

WIDTH, RATE = 512, 3e-3
LONGEST = 128  # tokens


def prompts(folder: Path, tokenizer: transformers.PreTrainedTokenizerBase, n: int) -> list[str]:
    """Return prompts of people's instructions and of tasks, each once."""
    asked = dict.fromkeys(
        f"Instruction: {one.instruction}\nInput: {one.input}\nOutput:"
        if one.input
        else f"Instruction: {one.instruction}\nOutput:"
        for one in data.examples(folder, held_out=False)
        if one.task.partition("/")[0] in {"dolly", "seed", "induction"}
    )
    texts = list(asked)
    random.Random(0).shuffle(texts)
    short = (text for text in texts if len(tokenizer(text)["input_ids"]) <= LONGEST)
    return [text for text, _ in zip(short, range(n), strict=False)]


def main() -> None:
    """Learn, and save."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="another one for each call")
    given = parser.parse_args()
    torch.set_num_threads(1)

    folder = given.work / "compressor"
    tagger = _policy(folder)
    lm = tamis.models.load("bundled", device="cpu", batch_tokens=8192)
    texts = prompts(given.data, tagger.tokenizer, given.prompts)

    def tell(step: Step) -> None:
        save_policy(tagger, folder)  # it can be stopped at any step
        print(
            f"reward {step.reward:.3f}, removed {step.removed:.3f}, faithful {step.faithful:.3f}, "
            f"{time.process_time():.0f} s",
            flush=True,
        )

    learn(tagger, lm, texts, steps=given.steps, learning_rate=RATE, seed=given.seed, on_step=tell)


def _policy(folder: Path) -> Tagger:
    """Return the policy that lies in a folder, or else a new one on its classifier."""
    if (folder / "policy.safetensors").exists():
        return load_policy(folder, device="cpu")
    classifier = Tagger(str(folder), device="cpu")
    torch.manual_seed(0)
    policy = Policy(classifier.module.base_model, WIDTH)
    return Tagger(policy, tokenizer=classifier.tokenizer)


if __name__ == "__main__":
    main()
