"""Compressors that learn from texts alone, and the tokens of a text of any length."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from tamis.models.base import LanguageModel
from tamis.models.tokens import TextTokenizer
from tamis.models.transformers import TransformersLM
from tamis.prompting.soft.base import Ids, SoftCompressor
from tamis.prompting.soft.training import fit, windows

__all__ = ["TextCompressor", "tokens_of"]

_READ = 2**14  # characters that are tokenised at once


class TextCompressor(SoftCompressor):
    """A compressor that learns from texts, window by window."""

    @classmethod
    def train(
        cls,
        base: LanguageModel | str,
        texts: Sequence[str],
        output_dir: str | Path,
        *,
        epochs: int = 1,
        learning_rate: float | None = None,
        batch_tokens: int | None = None,
        progress: bool = True,
        **settings: Any,  # noqa: ANN401 - of the class
    ) -> Self:
        """Train a compressor on texts, and save it in `output_dir`.

        Parameters
        ----------
        base : LanguageModel or str
            Left as it is.
        texts : sequence of str
            Each is cut into windows; one that is shorter than the least teaches nothing.
        output_dir : str or Path
        epochs, learning_rate, batch_tokens, progress
            As for `tamis.models.tuning.tune`.
        **settings
            As for the class.
        """
        made = cls(base, **settings)
        ids = [np.concatenate([*tokens_of(made.base, text)]) for text in texts if text]
        fit(
            made, windows(ids, *made.window), epochs=epochs, learning_rate=learning_rate,
            batch_tokens=batch_tokens, seed=made.settings["seed"], progress=progress,
        )  # fmt: skip
        made.save(output_dir)
        return made

    @property
    @abstractmethod
    def window(self) -> tuple[int, int]:
        """The tokens of a window that training reads, and the least that teach something."""


def tokens_of(lm: TransformersLM, text: str | Iterable[str]) -> Iterator[Ids]:
    """Yield the tokens of a text, a few thousand at a time, begun as its tokenizer begins one.

    A text is tokenised in parts that end at blanks, wherever it was cut when it was given.
    """
    reader = TextTokenizer(lm.tokenizer, lm.name)
    for number, part in enumerate(_parts(text)):
        [encoded] = reader.encode([part])
        yield encoded.ids[encoded.start if number else 0 :]


def _parts(text: str | Iterable[str]) -> Iterator[str]:
    if isinstance(text, str):
        whole = text
        text = (whole[begin : begin + _READ] for begin in range(0, len(whole), _READ))
    held = ""
    for piece in text:
        held += piece
        while len(held) > _READ:
            blank = max(held.rfind(" ", 1, _READ), held.rfind("\n", 1, _READ))
            cut = blank if blank > 0 else _READ
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held
