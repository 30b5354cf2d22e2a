"""How surprising each token is to a language model, whatever its backend and context.

A prompt that fits the model is read in one piece, a longer one in windows, each of which
sees a few tokens of the text before it: 64, or an eighth of the context if that is less. So
a prompt of any length goes through the model once, and by at most a seventh more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.data.progress import progress_bar
from tamis.errors import ModelError, TamisError
from tamis.models.base import LanguageModel, TokenLogprobs
from tamis.prompting.compression.readers import TokenizerReader

__all__ = ["Meter", "Surprise"]

Ids = npt.NDArray[np.int64]

_UNKNOWN_CONTEXT = 1024  # tokens, of a model that does not say
_LONGEST = 4096  # tokens a window: what is farther back changes little, and costs much
_OVERLAP = 64
_SPARE = 8  # tokens: a window's edges are tokenised otherwise than the whole, and BOS
_AT_ONCE = 64  # windows a call: memory stays bounded, and the bar moves


@dataclass(frozen=True, eq=False)
class Surprise:
    """A text's tokens and their negative log-likelihoods.

    Attributes
    ----------
    spans : int64 array of shape (t, 2)
        Ends ascend, and all lie inside the text.
    losses : float64 array of shape (t,)
        In nats; NaN where the model gave none.
    model_tokens : int
        Tokens that went through the model for it.
    """

    spans: Ids
    losses: npt.NDArray[np.float64]
    model_tokens: int

    def within(self, start: int, end: int) -> npt.NDArray[np.bool_]:
        """Return which tokens end in the characters from `start` to `end`."""
        return (self.spans[:, 1] > start) & (self.spans[:, 1] <= end)


@dataclass(eq=False)
class Meter:
    """A language model during one call: reads each text once, and remembers it.

    Also a `Reader`: without a tokenizer of the model at hand it counts a text by reading it.

    Parameters
    ----------
    load : callable
        Returns the model, which is loaded when it is first needed.
    progress : bool
        Draw a bar on stderr, when that is a terminal.
    """

    load: Callable[[], LanguageModel]
    progress: bool = True
    _known: dict[str, Surprise] = field(default_factory=dict)
    _ended: dict[str, Ids] = field(default_factory=dict)

    @cached_property
    def lm(self) -> LanguageModel:
        """The model."""
        return self.load()

    @cached_property
    def tokenizer(self) -> Any:  # noqa: ANN401 - the library's own
        """The model's tokenizer, or None where it hides it."""
        return getattr(self._inner, "tokenizer", None)

    @cached_property
    def context(self) -> int:
        """The longest text the model reads, in tokens."""
        return int(getattr(self._inner, "context", None) or _UNKNOWN_CONTEXT)

    @property
    def _inner(self) -> object:
        return getattr(self.lm, "lm", self.lm)  # what a CachedLM keeps the answers of

    def count(self, text: str) -> int:
        """As `Reader.count`."""
        if not text:
            return 0
        if self.tokenizer is None:
            return len(self.read([text])[0].losses)
        known = self._ended.get(text)
        return TokenizerReader(self.tokenizer).count(text) if known is None else len(known)

    def read(self, texts: Sequence[str]) -> list[Surprise]:
        """Return the surprise of each text, each token given what stands before it."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        cuts = [self._windows(text) for text in new]
        asked = [
            (text[begin:cut], text[cut:end])
            for text, windows in zip(new, cuts, strict=True)
            for begin, cut, end in windows
        ]
        said = iter(self.given(asked))
        for text, windows in zip(new, cuts, strict=True):
            parts = [next(said) for _ in windows]
            moved = [part.spans + cut for part, (_, cut, _) in zip(parts, windows, strict=True)]
            self._known[text] = Surprise(
                np.concatenate([*moved, np.empty((0, 2), np.int64)]),
                np.concatenate([*(part.losses for part in parts), np.empty(0)]),
                sum(part.model_tokens for part in parts),
            )
        return [self._known[text] for text in texts]

    def given(self, pairs: Sequence[tuple[str, str]]) -> list[Surprise]:
        """Return the surprise of the second text of each pair, given the first."""
        results: list[Surprise] = []
        shown = self.progress and len(pairs) > _AT_ONCE
        with progress_bar(
            total=len(pairs), desc="reading", unit=" windows", leave=False, progress=shown
        ) as bar:
            for at in range(0, len(pairs), _AT_ONCE):
                some = pairs[at : at + _AT_ONCE]
                for (before, text), said in zip(some, self._ask(some), strict=True):
                    spans, losses = _checked(text, said)
                    read = len(losses) + len(self._ends(before))
                    results.append(Surprise(spans, losses, read))
                bar.update(len(some))
        return results

    def _ask(self, pairs: Sequence[tuple[str, str]]) -> list[TokenLogprobs]:
        """Ask the model; texts with nothing before them are asked for as such."""
        alone = [text for before, text in pairs if not before]
        after = [pair for pair in pairs if pair[0]]
        try:
            plain = iter(self.lm.logprobs(alone) if alone else [])
            rest = iter(
                self.lm.logprobs([before for before, _ in after], [text for _, text in after])
                if after
                else []
            )
            return [next(rest) if before else next(plain) for before, _ in pairs]
        except TamisError:
            raise
        except Exception as error:  # a backend raises what it likes
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(
                f"{self.lm!r}: failed while reading a prompt ({said}); nothing was compressed"
            ) from error

    def cut(self, text: str, size: int) -> list[int]:
        """Return where to cut a text into pieces of at most `size` tokens: their ends."""
        ends = self._ends(text)
        inner = [int(ends[at - 1]) for at in range(size, len(ends), size)]
        return sorted({*(end for end in inner if 0 < end < len(text)), len(text)})

    def tail(self, text: str, size: int) -> str:
        """Return the last `size` tokens of a text."""
        ends = self._ends(text)
        return text if len(ends) <= size else text[int(ends[-size - 1]) :]

    def _windows(self, text: str) -> list[tuple[int, int, int]]:
        """Return, for each window, where its context begins, and where its own text lies."""
        ends = self._ends(text)
        room = max(2, min(self.context, _LONGEST) - _SPARE)
        if len(ends) <= room:
            return [(0, 0, len(text))] if text else []
        overlap = min(_OVERLAP, room // 8)
        places = [0, *ends.tolist()]
        windows, at = [], 0
        while at < len(ends):
            before = min(at, overlap)
            stop = min(len(ends), at + room - before)
            end = len(text) if stop == len(ends) else places[stop]
            if end > places[at]:
                windows.append((places[at - before], places[at], end))
            at = stop
        return windows

    def _ends(self, text: str) -> Ids:
        """Return where the text's tokens end; about so, for a model that hides them."""
        if text not in self._ended:
            self._ended[text] = self._token_ends(text)
        return self._ended[text]

    def _token_ends(self, text: str) -> Ids:
        if not text:
            return np.empty(0, np.int64)
        if self.tokenizer is not None:
            offsets = self.tokenizer(
                text,
                add_special_tokens=False,
                return_offsets_mapping=True,
                return_attention_mask=False,
                verbose=False,
            )["offset_mapping"]
            return np.maximum.accumulate(np.array(offsets, np.int64).reshape(-1, 2)[:, 1])
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        third = np.floor(np.cumsum(np.where(codes < 128, 1 / 3, 1.0)) + 1e-9)
        ends = np.flatnonzero(np.diff(third, prepend=0.0)) + 1
        return ends if len(ends) and ends[-1] == len(text) else np.append(ends, len(text))


def _checked(text: str, said: TokenLogprobs) -> tuple[Ids, npt.NDArray[np.float64]]:
    """Return a model's tokens inside the text, and their losses; what is no figure is NaN."""
    spans = np.clip(np.asarray(said.spans, np.int64).reshape(-1, 2), 0, len(text))
    losses = -np.asarray(said.logprobs, np.float64)
    if len(spans) != len(losses):
        raise ModelError(
            f"the model gave {len(spans)} tokens, but {len(losses)} log-probabilities; "
            "its backend is at fault"
        )
    spans[:, 1] = np.maximum.accumulate(spans[:, 1])
    losses[losses == -np.inf] = np.nan  # likelier than certain
    return spans, losses
