"""How good an instruction is: a model follows it on examples whose answers are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from tamis.data.formats import fields, texts
from tamis.data.ids import example_ids
from tamis.data.load import Source, load
from tamis.errors import DataError
from tamis.kernels.draws import uniforms
from tamis.models.base import LanguageModel
from tamis.prompting.generation.metrics import measure
from tamis.prompting.generation.parsing import cleaned
from tamis.prompting.generation.templates import as_prompt, template

__all__ = ["Execution", "Pair", "Parts", "examples_in", "pairs_of"]

_ANSWER_TOKENS = 30
_FEWEST = 8
_PLACES = ("Instruction: {instruction}\n", "{instruction}\n", " {instruction}")


class Pair(NamedTuple):
    """An input, and what the task makes of it."""

    input: str
    output: str


class Parts(NamedTuple):
    """Examples apart: to propose from, to choose by, and to report on alone."""

    shown: list[Pair]
    scored: list[Pair]
    held_out: list[Pair]


def pairs_of(source: Source, seed: int) -> Parts:
    """Return the examples of a source in three parts, by draws that belong to their content.

    A quarter is shown to who proposes, half decides, and a quarter is kept out of both. An
    Alpaca row's input counts, or its instruction where it has none.

    Raises
    ------
    DataError
        If there are fewer than 8 with an output.
    """
    pool = load(source, progress=False)
    every = examples_in(pool)
    order = np.argsort(uniforms(example_ids(pool), seed), kind="stable").tolist()
    found = [*dict.fromkeys(every[i] for i in order if every[i].output)]
    if len(found) < _FEWEST:
        raise DataError(
            f"{len(found)} examples have an input and an output; give at least {_FEWEST}"
        )
    quarter = len(found) // 4
    return Parts(found[:quarter], found[2 * quarter :], found[quarter : 2 * quarter])


def examples_in(pool: Dataset) -> list[Pair]:
    """Return input and output of each row."""
    batch = pool.with_format("arrow")[:]
    said = fields(batch)
    given = said.prompt.to_pylist()
    if "input" in batch.column_names:
        inputs = texts(batch["input"], "input").to_pylist()
        given = [own or prompt for own, prompt in zip(inputs, given, strict=True)]
    return [*map(Pair, given, said.response.to_pylist())]


@dataclass(frozen=True)
class Execution:
    """Scores instructions by what a model does with them.

    Parameters
    ----------
    lm : LanguageModel
    by : str
        'accuracy' of greedy answers of at most 30 tokens, or 'logprob', the mean natural
        log-probability of a token of the right answer.
    metric : str
        What 'accuracy' is (see `tamis.prompting.generation.metrics`).
    layout : str
        The template an instruction and an input are laid out by.
    chat : bool
        Ask by a user's message.
    """

    lm: LanguageModel
    by: Literal["accuracy", "logprob"] = "accuracy"
    metric: str = "exact"
    layout: str = "execution"
    chat: bool = False

    def scores(self, instructions: Sequence[str], pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
        """Return the score of each instruction on each pair, shape (instructions, pairs).

        All are asked together, and all on the same pairs.
        """
        prompts = [
            as_prompt(self.prompt(instruction, pair.input), self.chat)
            for instruction in instructions
            for pair in pairs
        ]
        gold = [pair.output for _ in instructions for pair in pairs]
        if self.by == "logprob":
            said = self.lm.logprobs(prompts, [f" {output}" for output in gold])
            found = [one.mean for one in said]
        else:
            answers = self.lm.generate(prompts, max_tokens=_ANSWER_TOKENS)
            found = [
                measure(self.metric, cleaned(answer.text), [output])
                for answer, output in zip(answers, gold, strict=True)
            ]
        return np.array(found, np.float64).reshape(len(instructions), len(pairs))

    def prompt(self, instruction: str, given: str) -> str:
        """Return what a model is asked."""
        text = template(self.layout)
        if not instruction:  # then it has no line of its own
            for part in _PLACES:
                text = text.replace(part, "")
        return text.format(instruction=instruction, input=given)
