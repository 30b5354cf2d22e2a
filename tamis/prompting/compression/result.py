"""What compressing gives: the text, and which parts of the original it is made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tamis.prompting.compression.recovery import recover

__all__ = ["Compressed", "CompressedMessages"]


@dataclass(frozen=True, repr=False)
class Compressed:
    """A shorter prompt, made of pieces of the original.

    Attributes
    ----------
    text : str
        The pieces, joined with nothing between them.
    kept : tuple of (int, int)
        Where each piece lies in `original`: start and end, in characters. In the order of
        the text, which is the original's unless documents were put in another.
    original : str
        What was compressed. For documents: instruction, documents as they were given, and
        question, with a blank line between them.
    tokens, original_tokens : int
        Of `text` and of `original`, as the model that will read the result counts.
    model_tokens : int
        Tokens that went through the compressing model for this prompt.
    method : str
    """

    text: str
    kept: tuple[tuple[int, int], ...]
    original: str
    tokens: int
    original_tokens: int
    model_tokens: int
    method: str

    @property
    def rate(self) -> float:
        """Tokens left of each token: 0.25 is a quarter of the prompt."""
        return self.tokens / self.original_tokens if self.original_tokens else 1.0

    @property
    def ratio(self) -> float:
        """How many times shorter: 4.0 is a quarter of the prompt; infinite if nothing is left."""
        return _ratio(self.original_tokens, self.tokens)

    def recover(self, response: str) -> str:
        """Put back into a response the words that were dropped inside what it quotes.

        LongLLMLingua's subsequence recovery; see `tamis.prompting.compression.recovery`.
        """
        return recover(response, self.original, self.kept)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return (
            f"Compressed({self.original_tokens} -> {self.tokens} tokens, "
            f"rate {self.rate:.3f}, {self.method})"
        )


class CompressedMessages(list[dict[str, Any]]):
    """A chat, ready to be sent: a list of messages that also knows what was saved.

    Attributes
    ----------
    tokens, original_tokens : int
        Of all texts in the messages; the chat template's own tokens are not counted.
    model_tokens : int
        Tokens that went through the compressing model.
    """

    def __init__(
        self,
        messages: Iterable[dict[str, Any]],
        tokens: int,
        original_tokens: int,
        model_tokens: int,
    ) -> None:
        super().__init__(messages)
        self.tokens, self.original_tokens = tokens, original_tokens
        self.model_tokens = model_tokens

    @property
    def rate(self) -> float:
        """Tokens left of each token."""
        return self.tokens / self.original_tokens if self.original_tokens else 1.0

    @property
    def ratio(self) -> float:
        """How many times shorter."""
        return _ratio(self.original_tokens, self.tokens)


def _ratio(original_tokens: int, tokens: int) -> float:
    if tokens == 0:
        return float("inf") if original_tokens else 1.0
    return original_tokens / tokens
