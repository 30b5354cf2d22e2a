"""Demonstrations as they stand in a prompt, for plain text and for chat."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tamis.errors import SettingError
from tamis.models.base import Prompt

__all__ = ["PLAIN", "Example", "Shots", "Template", "render"]

_PROMPT, _RESPONSE = "{prompt}", "{response}"


class Example(NamedTuple):
    """A question and its answer."""

    prompt: str
    response: str


@dataclass(frozen=True, kw_only=True)
class Template:
    """How demonstrations and a question become a prompt.

    Parameters
    ----------
    example : str
        With {prompt} and then {response}, each once. A question is written as far as its
        response, less the blanks before it: these begin the continuation.
    between : str
        What parts two examples.
    instruction : str
        Stands first: on its own, or as the system's turn.
    chat : bool
        Each example is a user's and an assistant's turn, as they are: `example` and
        `between` are not used.
    """

    example: str = "Input: {prompt}\nOutput: {response}"
    between: str = "\n\n"
    instruction: str = ""
    chat: bool = False

    def __post_init__(self) -> None:
        whole = self.example
        once = whole.count(_PROMPT) == whole.count(_RESPONSE) == 1
        if not once or whole.index(_RESPONSE) < whole.index(_PROMPT):
            raise SettingError(
                f"Template: example={whole!r}; give a text with {{prompt}} and then {{response}}"
            )

    @cached_property
    def parts(self) -> tuple[str, str, str]:
        """What stands before the prompt, between it and the response, and after that."""
        before, _, rest = self.example.partition(_PROMPT)
        middle, _, after = rest.partition(_RESPONSE)
        return before, middle, after

    @property
    def stop(self) -> str:
        """Where a model that writes one example after the other has to be stopped."""
        return self.parts[2] + self.between + self.parts[0].rstrip()

    def continuation(self, response: str) -> str:
        """Return what follows a rendered prompt where the model says `response`."""
        middle = self.parts[1]
        return response if self.chat else middle[len(middle.rstrip()) :] + response

    def render(self, examples: Sequence[Example], query: str) -> Prompt:
        """Return the prompt that shows `examples`, in this order, and asks `query`.

        What an example says is put in as it is: a '{response}' in it is not a place.
        """
        if self.chat:
            told = [{"role": "system", "content": self.instruction}] if self.instruction else []
            for example in examples:
                told.append({"role": "user", "content": example.prompt})
                told.append({"role": "assistant", "content": example.response})
            return [*told, {"role": "user", "content": query}]
        before, middle, after = self.parts
        shown = [before + prompt + middle + response + after for prompt, response in examples]
        lead = [self.instruction] if self.instruction else []
        return self.between.join([*lead, *shown, before + query + middle.rstrip()])


PLAIN = Template()


@dataclass(frozen=True, eq=False)
class Shots:
    """The demonstrations for one query, in the order in which they stand in its prompt.

    Attributes
    ----------
    examples : tuple of Example
    rows : int64 array of shape (k,)
        Their positions in the pool.
    scores : float64 array of shape (k,)
        What the retriever thinks of each; higher is better.
    """

    examples: tuple[Example, ...]
    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.examples)

    def prompt(self, query: str, template: Template = PLAIN) -> Prompt:
        """Return the prompt that shows these and asks `query`."""
        return template.render(self.examples, query)

    def taken(self, places: Sequence[int] | npt.NDArray[np.int64]) -> "Shots":
        """Return some of them, or all in another order."""
        chosen = np.asarray(places, np.int64)
        examples = tuple(self.examples[place] for place in chosen)
        return Shots(examples, self.rows[chosen], self.scores[chosen])


def render(
    shots: Shots | Sequence[Shots], queries: str | Sequence[str], template: Template = PLAIN
) -> Prompt | list[Prompt]:
    """Return the prompt for a query, or those for many, each with its own demonstrations.

    One `Shots` and many queries share the demonstrations.

    >>> none = Shots((), np.empty(0, np.int64), np.empty(0))
    >>> render(none, ["1 + 1", "2 + 2"], Template(example="{prompt} = {response}"))
    ['1 + 1 =', '2 + 2 =']
    """
    if isinstance(queries, str):
        one = shots if isinstance(shots, Shots) else shots[0]
        return one.prompt(queries, template)
    each = [shots] * len(queries) if isinstance(shots, Shots) else shots
    return [one.prompt(query, template) for one, query in zip(each, queries, strict=True)]
