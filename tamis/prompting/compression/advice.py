r"""Does compressing pay? From speeds measured here, the lengths and rates at which it does.

A call of n tokens, of which a share r is left, saves

    seconds   (1 − r) n s − (f + c n)           s: the server's seconds for a token more,
    money     (1 − r) n p − h (f + c n)         f + c n: the compressor's for the prompt,
                                                p, h: prices of a token and of a second

and so pays from n = f / ((1 − r) s − c) tokens on, or never. Mostly never, where a fast server
stands beside a slow compressor: an independent study found at most 18 % of a call's time to
be had, and a loss for most lengths (arXiv 2604.02985).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis.errors import SettingError
from tamis.prompting.compression.speeds import (
    Speed,
    loaded,
    measure_compressor,
    measure_server,
)

if TYPE_CHECKING:
    from tamis.models.base import LanguageModel

__all__ = ["Advice", "Speed", "advise"]


@dataclass(frozen=True)
class Advice:
    """What compressing would save, a call.

    Attributes
    ----------
    prompt_tokens, answer_tokens : int
    rate : float
        Share of the prompt's tokens that is left.
    compressor, server : Speed
        The server's is for a prompt and its answer.
    price : float or None
        Money for a million tokens of prompts; None where it is not known.
    hourly : float
        Money for an hour of the machine that compresses.
    """

    prompt_tokens: int
    answer_tokens: int
    rate: float
    compressor: Speed
    server: Speed
    price: float | None = None
    hourly: float = 0.0

    @property
    def seconds_before(self) -> float:
        """A call's seconds without compression."""
        return self.server.seconds(self.prompt_tokens)

    @property
    def seconds_after(self) -> float:
        """A call's seconds with it, the compressor's own among them."""
        n = self.prompt_tokens
        return self.compressor.seconds(n) + self.server.seconds(self.rate * n)

    @property
    def seconds_saved(self) -> float:
        """Below zero where compressing costs time."""
        return self.seconds_before - self.seconds_after

    @property
    def money_saved(self) -> float | None:
        """Below zero where compressing costs money; None where the price is not known."""
        if self.price is None:
            return None
        n = self.prompt_tokens
        return (1 - self.rate) * n * self.price / 1e6 - self._second * self.compressor.seconds(n)

    @property
    def break_even_tokens(self) -> int | None:
        """The shortest prompt for which it saves time at this rate; None if none is."""
        gain = (1 - self.rate) * self.server.token - self.compressor.token
        return _first(self.compressor.fixed, gain)

    @property
    def break_even_tokens_money(self) -> int | None:
        """The shortest prompt for which it saves money at this rate; None if none is."""
        if self.price is None:
            return None
        gain = (1 - self.rate) * self.price / 1e6 - self._second * self.compressor.token
        return _first(self._second * self.compressor.fixed, gain)

    @property
    def break_even_rate(self) -> float | None:
        """The highest rate at which this prompt saves time; None if there is none."""
        read = self.server.token * self.prompt_tokens
        rate = 1 - self.compressor.seconds(self.prompt_tokens) / read if read else -1.0
        return rate if rate > 0 else None

    @property
    def pays(self) -> bool:
        """Whether this call saves time or money."""
        return self.seconds_saved > 0 or (self.money_saved or 0) > 0

    @property
    def _second(self) -> float:
        return self.hourly / 3600

    def __str__(self) -> str:
        """Say it in a sentence or two."""
        told = [self._of_time()]
        if self.money_saved is not None:
            told.append(self._of_money(self.money_saved))
        return "\n".join(told)

    def _of_time(self) -> str:
        call = (
            f"{self.prompt_tokens:,} tokens at rate {self.rate:g} take {self.seconds_after:.3g} s "
            f"in place of {self.seconds_before:.3g} s"
        )
        if self.seconds_saved > 0:
            return f"compress: {call}; it saves time {_from(self.break_even_tokens)}"
        rate = self.break_even_rate
        other = "at no rate" if rate is None else f"at rates below {rate:.2g}"
        return (
            f"do not compress to save time: {call}; "
            f"it would save time {_from(self.break_even_tokens)}, and at this length {other}"
        )

    def _of_money(self, saved: float) -> str:
        thousand = f"{abs(saved) * 1000:.3g} for a thousand calls"
        if saved > 0:
            return f"compress to save money: {thousand}"
        return (
            f"do not compress to save money: it costs {thousand} more; "
            f"it would save money {_from(self.break_even_tokens_money)}"
        )


def advise(
    *,
    prompt_tokens: int,
    answer_tokens: int,
    server: "str | LanguageModel | Speed",
    compressor: str | Speed = "llmlingua",
    rate: float = 0.5,
    price: float | None = None,
    hourly: float = 0.0,
    **how: Any,  # noqa: ANN401 - those of `compress`
) -> Advice:
    """Measure a compressor and a server with a few short calls; say whether compressing pays.

    Parameters
    ----------
    prompt_tokens, answer_tokens : int
        Of a usual call. `tokenizer=` says whose tokens.
    server : str, LanguageModel or Speed
        Answers the prompts: 'openai:ID?base_url=…', a model, or what was measured before.
    compressor : str or Speed
        A method, or what was measured before.
    rate : float
        Share of the tokens that would be left.
    price : float, optional
        Money for a million tokens of prompts; default: the server's `input_price`.
    hourly : float
        Money for an hour of the machine that compresses.
    **how
        As for `compress`: `lm`, `tokenizer`, ….

    Raises
    ------
    SettingError
        If a number is out of range.
    ModelError
        If the compressor or the server fails.

    Notes
    -----
    About a dozen calls of at most 2,048 tokens, one at a time. Neither a queue at the server
    nor its cache of prompts that begin alike is seen: a cached prompt saves less.
    """
    for name, value in (("prompt_tokens", prompt_tokens), ("answer_tokens", answer_tokens)):
        if value < 1:
            raise SettingError(f"advise: {name}={value}; give 1 or more")
    if not 0 <= rate < 1:
        raise SettingError(f"advise: rate={rate}; give one from 0 to 1, below 1")
    if isinstance(compressor, str):
        compressor = measure_compressor(compressor, prompt_tokens, rate=rate, **how)
    if not isinstance(server, Speed):
        model = loaded(server)
        prices = getattr(model, "prices", None)
        price = prices.read if price is None and prices is not None else price
        server = measure_server(model, prompt_tokens, answer_tokens, **how)
    return Advice(prompt_tokens, answer_tokens, rate, compressor, server, price, hourly)


def _first(fixed: float, gain: float) -> int | None:
    """Return the first whole number of tokens that brings in more than the fixed cost."""
    return math.floor(fixed / gain) + 1 if gain > 0 else None


def _from(tokens: int | None) -> str:
    return "at no length" if tokens is None else f"from {tokens:,} tokens on"
