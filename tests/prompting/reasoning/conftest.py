"""Models that play a part: what each says is a function of the prompt."""

import threading

from tamis.models.base import Generation
from tests.models.conftest import tiny, tiny_folder, tiny_tokenizer  # noqa: F401


def text_of(prompt):
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]


class Player:
    """A language model that says what `part(text, number of the sample)` says.

    `rounds` holds the texts of each call.
    """

    fingerprint = "player"

    def __init__(self, part):
        self.part = part
        self.rounds = []
        self.hows = []

    def generate(self, prompts, **how):
        texts = [text_of(prompt) for prompt in prompts]
        self.rounds.append(texts)
        self.hows.append(how)
        first = how.get("seed", 0) % 1000
        return [self._answers(text, first, how) for text in texts]

    def _answers(self, text, first, how):
        n = how["n"]
        said = (self._until(self.part(text, first + i), how["stop"]) for i in range(n))
        return Generation(tuple(said), ("stop",) * n)

    def _until(self, said, stops):
        for stop in stops or []:
            said = said.split(stop)[0]
        return said


def always(said):
    return Player(lambda text, sample: said)


class Hanging:
    """A tool that does not answer before the test ends."""

    def __init__(self):
        self.leave = threading.Event()

    def __call__(self, argument):
        self.leave.wait(30)
        return "too late"
