"""Proxies: small models that are trained on a pick, to see which pick trains better.

A proxy sees a training set and then held-out examples; it knows nothing of how the rows were
chosen. What a model learns of a row is its response, given its prompt; where the held-out
examples have no responses, the whole text of rows and examples counts.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from tamis.data import formats
from tamis.models.base import Prompt
from tamis.models.fingerprint import digest

if TYPE_CHECKING:
    from tamis.models.transformers import TransformersLM

__all__ = ["Losses", "Proxy", "Task", "Trained", "TunedLM"]

_STATE = 2**30  # bytes: what models that are trained side by side may hold of weights and moments


class Losses(NamedTuple):
    """What a model makes of held-out examples: two arrays of shape (e,)."""

    nats: npt.NDArray[np.float64]
    """Negative log-likelihood of each example's tokens, summed; NaN where it has none."""
    tokens: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Task:
    """Held-out examples, and what counts of them.

    Attributes
    ----------
    examples : Dataset
    whole : bool
        All of the text counts; else the response, given the prompt.
    options : list of list of str, optional
        The answers that each example may have, where they are labels.
    """

    examples: Dataset
    whole: bool = False
    options: list[list[str]] | None = None

    @property
    def answers(self) -> list[str]:
        """The right answer of each example."""
        _, responses = formats.exchange(self.examples.with_format("arrow")[:])
        return [str(response) for response in responses.to_pylist()]


class Trained(Protocol):
    """A proxy after its training."""

    def losses(self, task: Task) -> Losses:
        """Return the loss of each held-out example."""
        ...

    def chosen(self, task: Task) -> npt.NDArray[np.int64]:
        """Return which of its options the model gives each example the highest probability."""
        ...


class Proxy(Protocol):
    """A model that can be trained on rows, again and again from the same beginning."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever a figure could: with the model, and with how it is trained."""
        ...

    @property
    def together(self) -> int:
        """How many trainings are best run at once, each in a thread."""
        ...

    def tokens(self, rows: Dataset) -> npt.NDArray[np.int64]:
        """Return how many tokens each row has, prompt and response together."""
        ...

    def trained(self, rows: Dataset, *, whole: bool, seed: int, progress: bool = True) -> Trained:
        """Return the model, trained on `rows`; the order they come in never counts."""
        ...


@dataclass(frozen=True)
class TunedLM:
    """A language model that is tuned on each pick, from the same weights each time.

    Parameters
    ----------
    lm : str or TransformersLM
    epochs, learning_rate, lora
        As `tamis.models.tuning.tune` takes them.
    """

    lm: "str | TransformersLM" = "bundled"
    epochs: int = 1
    learning_rate: float | None = None
    lora: int | None = None

    @cached_property
    def _model(self) -> "TransformersLM":
        from tamis.models.tuning import trainable

        return trainable(self.lm, "compare: the proxy")

    @property
    def fingerprint(self) -> str:
        """Of the model, and of how it is tuned."""
        return digest(self._model.fingerprint, self.epochs, self.learning_rate, self.lora)

    @property
    def together(self) -> int:
        """One for each core while the model is small, on a CPU: products so small share badly."""
        if self._model.module.device.type != "cpu":
            return 1
        state = 16 * int(self._model.module.num_parameters())
        return max(1, min(os.cpu_count() or 1, _STATE // state))

    def tokens(self, rows: Dataset) -> npt.NDArray[np.int64]:
        """Return how many tokens each row has, prompt and response together."""
        texts = formats.fields(rows.with_format("arrow")[:]).text.to_pylist()
        encoded = self._model.tokenizer(texts, add_special_tokens=False, verbose=False)
        return np.array([len(ids) for ids in encoded["input_ids"]], np.int64)

    def trained(self, rows: Dataset, *, whole: bool, seed: int, progress: bool = True) -> "_Reader":
        """Return a copy of the model, tuned on `rows`; without rows, the model itself.

        Raises
        ------
        ModelError
            If the loss is no longer a number.
        """
        from tamis.models.tuning import on_cores, tune

        if not len(rows):
            return _Reader(self._model)
        with on_cores(max(1, (os.cpu_count() or 1) // self.together)):
            tuned = tune(
                self._model,
                *_exchanges(self._model, rows, whole),
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                lora=self.lora,
                seed=seed,
                progress=progress,
            )
        return _Reader(tuned)


@dataclass(frozen=True)
class _Reader:
    """A language model that reads held-out examples."""

    lm: "TransformersLM"

    def losses(self, task: Task) -> Losses:
        scored = self.lm.logprobs(*_exchanges(self.lm, task.examples, task.whole))
        return Losses(
            np.array([-one.sum for one in scored]), np.array([one.count for one in scored])
        )

    def chosen(self, task: Task) -> npt.NDArray[np.int64]:
        prompts, _ = _exchanges(self.lm, task.examples, whole=False)
        options = task.options or []
        asked = [prompt for prompt, some in zip(prompts, options, strict=True) for _ in some]
        scored = self.lm.logprobs(asked, [option for some in options for option in some])
        sums = np.split(
            np.array([one.sum for one in scored]), np.cumsum([len(some) for some in options])[:-1]
        )
        return np.array([int(np.argmax(likely)) for likely in sums], np.int64)


def _exchanges(
    lm: "TransformersLM", rows: Dataset, whole: bool
) -> tuple[Sequence[Prompt], list[str]]:
    """Return what the model is given, and what it shall say, for each row."""
    batch = rows.with_format("arrow")[:]
    if whole:
        return [""] * len(rows), formats.fields(batch).text.to_pylist()
    prompts, responses = (column.to_pylist() for column in formats.exchange(batch))
    if lm.tokenizer.chat_template is None:
        return [f"{prompt}\n" for prompt in prompts], responses
    return [[{"role": "user", "content": prompt}] for prompt in prompts], responses
