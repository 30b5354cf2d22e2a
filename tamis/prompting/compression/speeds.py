"""How long a compressor, or a server, takes for a prompt: measured with a few short calls."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.prompting.compression.press import compress

if TYPE_CHECKING:
    from tamis.models.base import LanguageModel

__all__ = ["Speed", "loaded", "measure_compressor", "measure_server"]

_LONGEST, _SHORTEST = 2048, 256  # tokens of a prompt that is tried
_WRITTEN = 16  # tokens of an answer that is tried
_REPEATS = 3
_WORDS = (
    "the river ran past seven old houses where nobody had lived since a war that few now "
    "remember and every spring its water carried off another piece of their gardens until "
    "one morning in april even this wall was gone with apples books letters some chairs"
)


@dataclass(frozen=True)
class Speed:
    """Seconds that a prompt of n tokens takes: `fixed + token * n`."""

    fixed: float
    token: float

    def seconds(self, tokens: float) -> float:
        """Return the seconds for so many tokens."""
        return self.fixed + self.token * tokens


def measure_compressor(method: str, prompt_tokens: int, **how: Any) -> Speed:  # noqa: ANN401
    """Return the speed of a method on prompts of about this length; `how` as for `compress`."""
    how = {"progress": False} | how

    def press(text: str) -> None:
        compress(text, method=method, **how)

    count = _counter(how)
    lengths = _lengths(prompt_tokens, _LONGEST, count)
    return _line({n: _fastest(press, n) for n in lengths}, count)


def measure_server(
    server: "str | LanguageModel",
    prompt_tokens: int,
    answer_tokens: int,
    **how: Any,  # noqa: ANN401 - `tokenizer` and `lm`, which count
) -> Speed:
    """Return the speed of a server on prompts of about this length, answers included.

    Notes
    -----
    An answer is timed by 16 tokens of it; a model that ends its answer sooner seems quicker
    than it is, which changes the whole time, but hardly what is saved.
    """
    model = loaded(server)
    context = int(getattr(model, "context", None) or _LONGEST)
    count = _counter(how)
    lengths = _lengths(prompt_tokens, min(_LONGEST, context // 2), count)
    written = min(answer_tokens, _WRITTEN)
    chat = getattr(model, "base_url", None) is not None  # hosted models know no other way

    def asking(tokens: int) -> Callable[[str], None]:
        def ask(text: str) -> None:
            model.generate([[{"role": "user", "content": text}] if chat else text],
                           max_tokens=tokens)  # fmt: skip

        return ask

    seconds = {}
    for n in lengths:
        first = _fastest(asking(1), n)
        rest = max(0.0, _fastest(asking(written), n) - first) if written > 1 else 0.0
        seconds[n] = first + rest / max(1, written - 1) * (answer_tokens - 1)
    return _line(seconds, count)


def _lengths(tokens: int, most: int, count: Callable[[int], int]) -> tuple[int, int]:
    """Return two lengths to try, in words: about the tokens of a usual call, and a quarter."""
    longer = min(max(tokens, _SHORTEST), most) / max(1.0, count(_SHORTEST) / _SHORTEST)
    return max(1, int(longer / 4)), max(2, int(longer))


def _fastest(act: Callable[[str], None], words: int) -> float:
    """Return the seconds of the quickest of a few tries, each with another text."""
    act(_text(words, 0))
    tries = []
    for seed in range(1, _REPEATS + 1):
        text = _text(words, seed)
        start = time.perf_counter()
        act(text)
        tries.append(time.perf_counter() - start)
    return min(tries)


def _text(words: int, seed: int) -> str:
    """Return a text that no cache has seen: its first words are its own."""
    draws = np.random.default_rng([seed, words, time.time_ns()]).choice(_WORDS.split(), words)
    return " ".join(draws.tolist())


def _counter(how: dict[str, Any]) -> Callable[[int], int]:
    """Return a function that says how many tokens a text of so many words has."""
    known = {name: how[name] for name in ("lm", "tokenizer") if name in how}

    def count(words: int) -> int:
        text = _text(words, 0)
        return compress(text, rate=1.0, method="truncate", progress=False, **known).original_tokens

    return count


def _line(seconds: dict[int, float], count: Callable[[int], int]) -> Speed:
    """Return the line through two measurements, given in words; its slope and start not below 0."""
    (shorter, quick), (longer, slow) = sorted(seconds.items())
    short, long = count(shorter), count(longer)
    token = max(0.0, (slow - quick) / max(1, long - short))
    return Speed(max(0.0, quick - token * short), token)


def loaded(server: "str | LanguageModel") -> "LanguageModel":
    """Return a model that is given, or named."""
    if not isinstance(server, str):
        return server
    from tamis.models import load

    return load(server)
