"""What every model is to the rest of tamis: two small protocols and what they answer with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from tamis.errors import ModelError

__all__ = [
    "Embedder",
    "Generation",
    "IncompleteError",
    "LanguageModel",
    "Messages",
    "Prompt",
    "TokenLogprobs",
    "unit_rows",
]

T = TypeVar("T")

Messages = Sequence[Mapping[str, str]]
"""A conversation: mappings with the keys 'role' and 'content'."""

Prompt = str | Messages
"""Text, which is continued as it stands, or messages, which the model's chat template renders."""


@dataclass(frozen=True, eq=False)
class TokenLogprobs:
    """The natural log-probability of each token of a text, given all that stands before it.

    Attributes
    ----------
    text : str
        What was scored: the continuation, or the prompt where there was none.
    spans : int64 array of shape (t, 2)
        Where each token starts and ends in `text`, in characters. A character that is
        several tokens lends each of them its span.
    ids : int64 array of shape (t,)
        The tokens in the model's vocabulary; -1 where a server does not say.
    logprobs : float32 array of shape (t,)
        NaN where the model gives none: the first token of a text with nothing before it.

    Notes
    -----
    *Border.* Prompt and continuation are tokenised together; a token belongs to the
    continuation when it ends in it, and a token that straddles the border is clipped.
    *First token.* What the tokenizer itself puts before a text (a BOS token, or nothing)
    stands before it here; with nothing before it the first token has no probability, and
    neither `mean` nor `sum` counts it.
    """

    text: str
    spans: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    logprobs: npt.NDArray[np.float32]

    @property
    def tokens(self) -> list[str]:
        """The piece of the text that each token stands for."""
        return [self.text[start:end] for start, end in self.spans.tolist()]

    @property
    def count(self) -> int:
        """How many tokens have a probability."""
        return int(np.count_nonzero(~np.isnan(self.logprobs)))

    @property
    def sum(self) -> float:
        """Sum over the tokens that have a probability; NaN where none has."""
        return float(np.nansum(self.logprobs, dtype=np.float64)) if self.count else float("nan")

    @property
    def mean(self) -> float:
        """Mean over the tokens that have a probability; NaN where none has."""
        return self.sum / self.count if self.count else float("nan")


@dataclass(frozen=True)
class Generation:
    """The answers to one prompt.

    Attributes
    ----------
    texts : tuple of str
        As many as were asked for, without the stop string that ended them.
    finishes : tuple of str
        Why each ended: 'stop' (an end token or a stop string), 'length', or what else
        a server says.
    """

    texts: tuple[str, ...]
    finishes: tuple[str, ...]

    @property
    def text(self) -> str:
        """The first answer."""
        return self.texts[0]


@runtime_checkable  # a recipe's settings are checked against their types
class LanguageModel(Protocol):
    """A model of text: scores it, and writes it."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever an answer could: with weights, tokenizer, template or dtype."""
        ...

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[str] | None = None
    ) -> list[TokenLogprobs]:
        """Score each continuation given its prompt, or each prompt where there are none."""
        ...

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        stop: Sequence[str] | str | None = None,
        schema: Mapping[str, Any] | None = None,
        n: int = 1,
        seed: int = 0,
    ) -> list[Generation]:
        """Answer each prompt `n` times.

        Parameters
        ----------
        prompts : sequence of str or of messages
        max_tokens : int
            Tokens an answer, at most.
        temperature : float
            0 takes the likeliest token each time.
        top_p : float
            Draw among the likeliest tokens that together hold this share.
        stop : str or sequence of str, optional
            An answer ends before the first of these.
        schema : mapping, optional
            A JSON schema that the answer will obey, unless it ends for length.
        n : int
            Answers a prompt.
        seed : int
            Of the draws.
        """
        ...


@runtime_checkable
class Embedder(Protocol):
    """A model that turns texts into points."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever an embedding could."""
        ...

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return float32 of shape (n, d), rows of length 1; a row of NaN where there is none."""
        ...


class IncompleteError(ModelError, Generic[T]):
    """Some requests got no answer; those that did are kept here.

    Attributes
    ----------
    answers : list
        What was answered, in the order asked; None where nothing was.
    reasons : dict of int to str
        Why a request has no answer, by its position.
    """

    retryable = True

    def __init__(self, message: str, answers: list[T | None], reasons: dict[int, str]) -> None:
        super().__init__(message)
        self.answers = answers
        self.reasons = reasons


def unit_rows(points: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Return the rows at length 1, as float32; a row of zeros has no direction: NaN.

    >>> unit_rows(np.array([[3.0, 4], [0, 0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [nan, nan]]
    """
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        unit: npt.NDArray[np.float32] = (points / lengths).astype(np.float32)
    return unit
