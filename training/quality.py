"""Train the bundled quality scorer on which of two answers is better.

    python -m training.quality DATA WORK      # after training.embedder

Pairs come from ChatGPT's preferences (Gisting, Apache-2.0), a DPO set (Apache-2.0), models'
right and wrong solutions of one problem (GSM8K, MIT), and from people's answers beside the
same ones spoilt: cut short, shuffled, another's, repeated, word salad, the prompt again. The
score is a Bradley-Terry strength; slope and shift make it the chance that an answer is good,
fitted on held-out people's answers and spoilt ones.

WORK/quality/ holds safetensors and JSON.
"""

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

from tamis.models.quality import looks
from tamis.models.static import StaticEmbedder
from training import data

HIDDEN, EPOCHS, RATE, DECAY = 32, 30, 3e-3, 0.03
SHARES = {"judged": 1.0, "spoilt": 0.3, "dpo": 1.0, "solutions": 0.3}
"""How much a pair of each kind counts."""


class Pair(NamedTuple):
    """Two answers to one prompt, and the chance that the first is better."""

    kind: str
    prompt: str
    first: str
    second: str
    chance: float


def judged(folder: Path) -> Iterator[Pair]:
    """Yield the preferences of judges."""
    for row in data.rows(folder, "pairwise_judgements_gisting"):
        chance = {"a": 1.0, "b": 0.0, "tie": 0.5}[row["preferred"]]
        if row["output_a"].strip() and row["output_b"].strip():
            prompt = plain(row["prompt"])
            yield Pair("judged", prompt, row["output_a"], row["output_b"], chance)
    for row in data.rows(folder, "preferences_dpo_demo"):
        yield Pair("dpo", row["prompt"], row["chosen"], row["rejected"], 1.0)


def plain(prompt: str) -> str:
    r"""Drop the headings of a prompt.

    >>> plain("Instruction: Add.\nInput: 2, 3")
    'Add.\n\n2, 3'
    """
    return prompt.removeprefix("Instruction: ").replace("\nInput: ", "\n\n", 1)


def solutions(folder: Path) -> Iterator[Pair]:
    """Yield a right and a wrong solution of one problem."""
    asked = {row["id"]: row["question"] for row in data.rows(folder, "gsm8k")}
    by_question: dict[str, dict[bool, list[str]]] = defaultdict(lambda: {True: [], False: []})
    for row in data.rows(folder, "gsm8k_model_solutions"):
        by_question[row["question_id"]][row["is_correct"]].append(row["solution"])
    for question, found in by_question.items():
        for right, wrong in zip(found[True], found[False], strict=False):
            if question in asked:
                yield Pair("solutions", asked[question], right, wrong, 1.0)


def spoilt(folder: Path, draw: random.Random, *, held_out: bool) -> Iterator[Pair]:
    """Yield people's answers beside the same ones spoilt."""
    kinds = {"dolly", "seed", "medical", "nq", "gsm8k", "qmsum"}
    good = [
        example
        for example in data.examples(folder, held_out=held_out)
        if example.task.partition("/")[0] in kinds and len(example.output) > 2
    ]
    for example in good:
        times = 3 if example.task.startswith(("dolly", "seed")) else 1
        for way in draw.sample(sorted(_WAYS), times):
            other = draw.choice(good).output
            worse = _WAYS[way](draw, example.prompt, example.output, other)
            if worse.strip() and worse != example.output:
                yield Pair("spoilt", example.prompt, example.output, worse, 1.0)


def _cut(draw: random.Random, prompt: str, answer: str, other: str) -> str:
    return answer[: int(len(answer) * draw.uniform(0.15, 0.7))].rstrip(" .\n")


def _shuffled(draw: random.Random, prompt: str, answer: str, other: str) -> str:
    words = answer.split()
    draw.shuffle(words)
    return " ".join(words)


def _others(draw: random.Random, prompt: str, answer: str, other: str) -> str:
    return other


def _repeated(draw: random.Random, prompt: str, answer: str, other: str) -> str:
    first = answer.partition(". ")[0]
    return ". ".join([first] * draw.randint(3, 6))


def _salad(draw: random.Random, prompt: str, answer: str, other: str) -> str:
    words = (answer + " " + other).split()
    return " ".join(draw.choice(words) for _ in answer.split())


def _echo(draw: random.Random, prompt: str, answer: str, other: str) -> str:
    return prompt


def _tail(draw: random.Random, prompt: str, answer: str, other: str) -> str:
    return f"{answer[: len(answer) // 2]} {other[len(other) // 2 :]}"


_WAYS = {
    "cut": _cut,
    "shuffled": _shuffled,
    "other": _others,
    "repeated": _repeated,
    "salad": _salad,
    "echo": _echo,
    "tail": _tail,
}


class Net(torch.nn.Module):
    """One hidden layer, and a way past it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(width, HIDDEN)
        self.out = torch.nn.Linear(HIDDEN, 1, bias=False)
        self.direct = torch.nn.Linear(width, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a strength for each row."""
        return (self.out(torch.relu(self.hidden(x))) + self.direct(x)).squeeze(1)


def train(
    first: torch.Tensor, second: torch.Tensor, chances: torch.Tensor, counts: torch.Tensor
) -> Net:
    """Fit the strengths whose differences are the log-odds of being preferred."""
    torch.manual_seed(0)
    net = Net(first.shape[1])
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = RATE * (1 - epoch / EPOCHS)
        for rows in torch.randperm(len(first)).split(256):
            apart = net(first[rows]) - net(second[rows])
            losses = F.binary_cross_entropy_with_logits(apart, chances[rows], counts[rows])
            optimizer.zero_grad()
            losses.backward()
            optimizer.step()
    return net


def save(
    folder: Path,
    net: Net,
    mean: npt.NDArray[np.float64],
    scale: npt.NDArray[np.float64],
    config: dict[str, object],
) -> None:
    """Write safetensors and JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: weight.detach().numpy() for name, weight in net.state_dict().items()}
    weights = {
        "mean": mean,
        "scale": scale,
        "hidden": found["hidden.weight"],
        "hidden_bias": found["hidden.bias"],
        "out": found["out.weight"][0],
        "direct": found["direct.weight"][0],
    }
    kept = {name: np.ascontiguousarray(w, np.float32) for name, w in weights.items()}
    save_file(kept, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    """Gather pairs, train, calibrate and save."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    embedder = StaticEmbedder(str(given.work / "embedder"))
    draw = random.Random(0)
    pairs = [*judged(given.data), *solutions(given.data)]
    pairs = [pair for pair in pairs if not data.is_held_out(pair.prompt)]
    pairs += spoilt(given.data, draw, held_out=False)
    print({kind: sum(pair.kind == kind for pair in pairs) for kind in SHARES}, "pairs")

    prompts = [pair.prompt for pair in pairs]
    first = looks(embedder, prompts, [pair.first for pair in pairs])
    second = looks(embedder, prompts, [pair.second for pair in pairs])
    both = np.vstack([first, second])
    mean, scale = np.nanmean(both, axis=0), np.nanstd(both, axis=0) + 1e-6
    sides = [torch.from_numpy(np.nan_to_num((x - mean) / scale)).float() for x in (first, second)]
    chances = torch.tensor([pair.chance for pair in pairs])
    net = train(*sides, chances, torch.tensor([SHARES[pair.kind] for pair in pairs]))

    held = list(spoilt(given.data, draw, held_out=True))
    asked = [pair.prompt for pair in held] * 2
    answers = [pair.first for pair in held] + [pair.second for pair in held]
    x = np.nan_to_num((looks(embedder, asked, answers) - mean) / scale)
    strength = net(torch.from_numpy(x).float()).detach().numpy()
    is_good = np.arange(len(asked)) < len(held)
    fitted = LogisticRegression(C=1e4).fit(strength[:, None], is_good)
    config = {
        "embedder": embedder.fingerprint,
        "slope": float(fitted.coef_[0, 0]),
        "shift": float(fitted.intercept_[0]),
        "pairs": len(pairs),
    }
    save(given.work / "quality", net, mean, scale, config)
    right = float((strength[: len(held)] > strength[len(held) :]).mean())
    print(config, f"held-out people's answer above the spoilt one: {right:.3f} of {len(held)}")


if __name__ == "__main__":
    main()
