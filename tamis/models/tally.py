"""What models are asked for while a plan is made: tokens counted, and no money spent.

Inside `tallied`, a model on this machine answers as always; one on a server, which may cost
money, is not asked, and `CachedLM` gives empty answers in its place that nobody keeps.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from tamis.models import bundled
from tamis.models.base import LanguageModel, Prompt
from tamis.models.static import StaticEmbedder
from tamis.models.tokens import TextTokenizer

__all__ = ["Tally", "may_ask", "tallied"]


@dataclass
class Tally:
    """What language models were to read and write.

    Attributes
    ----------
    read : int
        Tokens of prompts and scored texts, by the model's own tokenizer. For a server that
        shows none, word pieces of the bundled embedder: about as many.
    written : int
        Tokens of answers, at most.
    money : float or None
        What a server takes for them; None where its prices are not known.
    unasked : bool
        Whether there was a server, which was not asked.
    """

    read: int = 0
    written: int = 0
    money: float | None = 0.0
    unasked: bool = False


_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


@contextmanager
def tallied() -> Iterator[Tally]:
    """Count what language models are asked for inside the `with`, and ask no server."""
    tally = Tally()
    token = _tally.set(tally)
    try:
        yield tally
    finally:
        _tally.reset(token)


def may_ask(
    lm: LanguageModel,
    prompts: Sequence[Prompt],
    continuations: Sequence[str] | None = None,
    *,
    max_tokens: int = 0,
) -> bool:
    """Count a request, where requests are counted; return whether it may be made."""
    tally = _tally.get()
    if tally is None:
        return True
    read, written = _tokens(lm, prompts, continuations), max_tokens * len(prompts)
    tally.read += read
    tally.written += written
    if not hasattr(lm, "usage"):
        return True
    prices = getattr(lm, "prices", None)
    if prices is None or tally.money is None:
        tally.money = None
    else:
        tally.money += prices.of(read, written)
    tally.unasked = True
    return False


def _tokens(
    lm: LanguageModel, prompts: Sequence[Prompt], continuations: Sequence[str] | None
) -> int:
    if not prompts:
        return 0
    if (words := getattr(lm, "tokenizer", None)) is not None:
        encoded = TextTokenizer(words, repr(lm)).encode(prompts, continuations)
        return sum(len(text.ids) for text in encoded)
    texts = [_text(prompt) for prompt in prompts] + list(continuations or [])
    return int(_counter().pieces(texts)[0][-1])


def _text(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n".join(message["content"] for message in prompt)


@cache
def _counter() -> StaticEmbedder:
    return StaticEmbedder(str(bundled("embedder")))
