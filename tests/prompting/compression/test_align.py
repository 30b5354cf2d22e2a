"""Distribution alignment."""

import pytest

from tamis.errors import DataError
from tamis.models.base import Generation

torch = pytest.importorskip("torch", reason='pip install "tamis[models]"')

from tamis.prompting.compression.align import align  # noqa: E402


class Says:
    """A target model that always gives the same answer."""

    fingerprint = "says"

    def __init__(self, answer):
        self.answer = answer

    def generate(self, prompts, **how):
        return [Generation((self.answer,), ("stop",)) for _ in prompts]


def test_the_small_model_learns_what_the_large_one_writes(tiny):
    answer, prompts = "The sky is blue.", [f"Say something, {n}." for n in range(8)]
    tuned = align(tiny, Says(answer), prompts, epochs=10, progress=False)
    before, after = (lm.logprobs(prompts[:1], [answer])[0].mean for lm in (tiny, tuned))
    assert after > before


def test_a_target_that_says_nothing_is_named(tiny):
    with pytest.raises(DataError, match="answered nothing to 2 prompts"):
        align(tiny, Says(" "), ["a", "b"], progress=False)
