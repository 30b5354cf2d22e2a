"""How many tokens a prompt has, and which demonstrations fit a budget of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tamis.errors import MissingExtraError, SettingError
from tamis.models import bundled
from tamis.models.base import Prompt
from tamis.prompting.demonstrations.shots import Example, Template

__all__ = ["Room", "counter"]


def counter(tokenizer: Any) -> Callable[[Prompt], int]:  # noqa: ANN401 - a model, or its words
    """Return what counts the tokens of a prompt, the chat template's own among them.

    Parameters
    ----------
    tokenizer : str, LanguageModel or tokenizer
        'bundled', a hub id or folder, a model that has a `tokenizer`, or a tokenizer of the
        transformers library.

    Raises
    ------
    SettingError
        If it has no words to count with.
    """
    from tamis.models.tokens import TextTokenizer

    words = _named(tokenizer) if isinstance(tokenizer, str) else tokenizer
    words = getattr(words, "lm", words)  # a cached model
    words = getattr(words, "tokenizer", words)
    if not callable(words) or not hasattr(words, "is_fast"):
        raise SettingError(
            f"tokenizer={tokenizer!r} counts no tokens; name the model's, as in "
            "'Qwen/Qwen2.5-0.5B', or give a model of the transformers or vllm backend"
        )
    reader = TextTokenizer(words, "tokenizer")
    return lambda prompt: len(reader.encode([prompt])[0].ids)


@lru_cache(maxsize=4)
def _named(name: str) -> Any:  # noqa: ANN401
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "models") from error
    folder = str(bundled("lm")) if name == "bundled" else name.removeprefix("transformers:")
    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        said = str(error).strip().splitlines()[0]
        raise SettingError(f"tokenizer='{name}' cannot be loaded ({said})") from error


@dataclass(frozen=True)
class Room:
    """A prompt's budget.

    Parameters
    ----------
    tokens : int
        Of the whole prompt, at most: demonstrations, query and what the template adds.
    count : function of a prompt
    template : Template
    best_last : bool
        Whether the first that is offered stands last in the prompt.
    """

    tokens: int
    count: Callable[[Prompt], int]
    template: Template
    best_last: bool = True

    def fitting(self, query: str, offered: Sequence[Example], k: int) -> list[int]:
        """Return which of the examples to show: at most `k`, none where the query alone is over.

        They are gone through best first; one that is too long is passed over, so that
        shorter ones after it get their chance. The prompt as it will be sent is counted.
        """
        kept: list[int] = []
        for place in range(len(offered)):
            if len(kept) == k:
                break
            shown = [offered[i] for i in (*kept, place)]
            order = shown[::-1] if self.best_last else shown
            if self.count(self.template.render(order, query)) <= self.tokens:
                kept.append(place)
        return kept
