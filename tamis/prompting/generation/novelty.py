"""How near a text comes to those that were kept: ROUGE-L against a pool that grows."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tamis.kernels.lcs import SIGN_WORDS, nearest, sign

__all__ = ["Nearest", "RougeL", "rouge_l"]

_WORD = re.compile("[a-z0-9]+")
_FIRST_ROOM = 1024


@dataclass(frozen=True)
class Nearest:
    """The kept text that is nearest to another.

    Attributes
    ----------
    position : int
        Which, in the order in which they were added; -1 for none.
    common, words, kept_words : int
        Words in common, in order; words of the text, and of the kept one.
    """

    position: int
    common: int
    words: int
    kept_words: int

    @property
    def f(self) -> float:
        """ROUGE-L F as the package rouge_score computes it, to the last bit."""
        if not self.common:
            return 0.0
        precision, recall = self.common / self.words, self.common / self.kept_words
        return 2 * precision * recall / (precision + recall)

    @property
    def ratio(self) -> float:
        """The same number as 2 ℓ / (m + n), rounded once: 7 words of 10 and 10 are 0.7."""
        return 2 * self.common / (self.words + self.kept_words) if self.common else 0.0


class RougeL:
    """Kept texts, and which of them is nearest to a new one by ROUGE-L F.

    Words are runs of a-z and 0-9 in the lower case, as the package rouge_score has them
    without stemming. A text without such words, as in most scripts, is near to nothing.

    Parameters
    ----------
    texts : iterable of str
        To begin with.

    Examples
    --------
    >>> kept = RougeL(["Write a short poem about cats."])
    >>> kept.nearest("Write a short story about dogs.").f.__round__(4)
    0.6667
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._number: dict[str, int] = {}
        self._words = np.empty(_FIRST_ROOM, np.int32)
        self._starts = np.zeros(_FIRST_ROOM, np.int64)
        self._signs = np.empty((_FIRST_ROOM, SIGN_WORDS), np.uint64)
        self._slacks = np.empty(_FIRST_ROOM, np.int32)
        self._slots = np.full(_FIRST_ROOM, -1, np.int32)
        self._texts = 0
        for text in texts:
            self.add(text)

    def __len__(self) -> int:
        return self._texts

    def add(self, text: str) -> None:
        """Keep a text; time is in proportion to its length, on average."""
        words = self._numbers(text)
        start = self._starts[self._texts]
        self._words = _with_room(self._words, start + len(words))
        self._starts = _with_room(self._starts, self._texts + 2)
        self._signs = _with_room(self._signs, self._texts + 1)
        self._slacks = _with_room(self._slacks, self._texts + 1)
        self._words[start : start + len(words)] = words
        self._signs[self._texts], self._slacks[self._texts] = sign(words)
        self._texts += 1
        self._starts[self._texts] = start + len(words)

    def nearest(self, text: str, at_least: float = 0.0) -> Nearest:
        """Return the kept text nearest to `text`, the first of equals.

        Parameters
        ----------
        text : str
        at_least : float
            Where none has this F there is none; the higher, the quicker.
        """
        words = self._numbers(text)
        starts = self._starts[: self._texts + 1]
        signs, slacks = self._signs[: self._texts], self._slacks[: self._texts]
        position, common = nearest(words, self._words, starts, signs, slacks, at_least, self._slots)
        kept = int(starts[position + 1] - starts[position]) if position >= 0 else 0
        return Nearest(position, common, len(words), kept)

    def _numbers(self, text: str) -> np.ndarray:
        known = self._number
        words = _WORD.findall(text.lower())
        numbers = np.array([known.setdefault(word, len(known)) for word in words], np.int32)
        if len(known) > len(self._slots):
            self._slots = np.full(2 * len(known), -1, np.int32)
        return numbers


def rouge_l(text: str, other: str) -> float:
    """Return the ROUGE-L F of two texts.

    >>> rouge_l("a b c d", "a c d")
    0.8571428571428571
    """
    return RougeL([other]).nearest(text).f


def _with_room(array: np.ndarray, length: int) -> np.ndarray:
    """Return `array` with room for `length`: twice as much as it had, where that was too little."""
    if length <= len(array):
        return array
    longer = np.empty((max(2 * len(array), length), *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
