"""Who will read the result, and how many tokens a text is to it."""

from collections.abc import Callable, Sized
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from tamis.errors import MissingExtraError, ModelError, SettingError

__all__ = ["Reader", "TokenizerReader", "reader_of"]


class Reader(Protocol):
    """Counts tokens."""

    def count(self, text: str) -> int:
        """Return how many tokens a text is, without those that frame it (BOS, EOS)."""
        ...


class TokenizerReader:
    """A Hugging Face tokenizer."""

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 - the library's own
        self.tokenizer = tokenizer

    def count(self, text: str) -> int:
        """As `Reader.count`."""
        ids = self.tokenizer(
            text, add_special_tokens=False, return_attention_mask=False, verbose=False
        )["input_ids"]
        return len(ids)


class FunctionReader:
    """A function of a text that returns its tokens, or how many they are."""

    def __init__(self, tokenize: Callable[[str], int | Sized]) -> None:
        self.tokenize = tokenize

    def count(self, text: str) -> int:
        """As `Reader.count`."""
        tokens = self.tokenize(text)
        return len(tokens) if isinstance(tokens, Sized) else int(tokens)


def reader_of(tokenizer: str | Path | Callable[[str], int | Sized]) -> Reader:
    """Return the reader that `tokenizer` names.

    Parameters
    ----------
    tokenizer : str, Path or callable
        'transformers:ID', a folder, a tokenizer of transformers, or a function of a text
        that returns tokens or their number (`tiktoken.get_encoding("o200k_base").encode`).

    Raises
    ------
    SettingError
        If it names nothing.
    """
    if isinstance(tokenizer, str | Path):
        text = str(tokenizer)
        name = text.removeprefix("transformers:")
        if name == text and not Path(text).is_dir():
            raise SettingError(
                f"tokenizer={text!r} is no folder; write transformers:ID, or give a function"
            )
        return TokenizerReader(_load(name))
    if hasattr(tokenizer, "convert_ids_to_tokens"):
        return TokenizerReader(tokenizer)
    if not callable(tokenizer):
        raise SettingError(
            f"tokenizer is {type(tokenizer).__name__}; give 'transformers:ID', a folder "
            "or a function of a text"
        )
    return FunctionReader(tokenizer)


@lru_cache(maxsize=4)
def _load(name: str) -> Any:  # noqa: ANN401
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "models") from error
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        said = str(error).strip().splitlines()[0]
        raise ModelError(f"tokenizer {name}: cannot be loaded ({said})") from error
