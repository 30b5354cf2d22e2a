"""Small real models: one whose likes are known, and a tiny network."""

import numpy as np
import pytest
from datasets import Dataset

from tamis.models.base import Generation, TokenLogprobs
from tests.models.conftest import tiny, tiny_folder, tiny_tokenizer  # noqa: F401


class Likes:
    """A language model for which a continuation's log-probability is `of(prompt, text)`.

    `asked` counts texts scored; `says(prompt)` is what it writes.
    """

    fingerprint = "likes"

    def __init__(self, of, says=lambda prompt: ""):
        self.of, self.says, self.asked = of, says, 0

    def logprobs(self, prompts, continuations=None):
        self.asked += len(prompts)
        return [
            TokenLogprobs(text, np.array([[0, len(text)]]), np.zeros(1, int), np.float32([value]))
            for prompt, text in zip(prompts, continuations, strict=True)
            for value in [self.of(prompt, text)]
        ]

    def generate(self, prompts, **how):
        n = how.get("n", 1)
        return [Generation((self.says(prompt),) * n, ("stop",) * n) for prompt in prompts]


def examples(*pairs, **columns):
    prompts, responses = zip(*pairs, strict=True)
    return Dataset.from_dict({"prompt": list(prompts), "response": list(responses), **columns})


@pytest.fixture
def pool():
    """Twelve sums and twelve animals, told apart by any bag of words."""
    sums = [(f"sum {i} plus {i + 1}", str(2 * i + 1)) for i in range(12)]
    animals = [(f"animal {i} of the wood", f"beast {i}") for i in range(12)]
    return examples(*sums, *animals, task=["sum"] * 12 + ["animal"] * 12)
