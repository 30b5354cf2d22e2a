"""Whether an answer is supported by a text: by its words, sentence by sentence."""

import re
from collections import Counter

__all__ = ["grounding", "passages", "sentences"]

_WORD = re.compile(r"\w+")
_BREAK = re.compile(r"(?<=[.!?。！？])\s+|\n+")


def sentences(text: str) -> list[tuple[int, int]]:
    """Return where each sentence of a text starts and ends: at . ! ? and a space, or a new line.

    >>> text = "One is here. Two!"
    >>> [text[start:end] for start, end in sentences(text)]
    ['One is here.', 'Two!']
    """
    borders = [0, *(place for mark in _BREAK.finditer(text) for place in mark.span()), len(text)]
    pairs = zip(borders[0::2], borders[1::2], strict=True)
    return [(start, end) for start, end in pairs if text[start:end].strip()]


def passages(text: str, words: int) -> list[tuple[int, int]]:
    """Return a text's passages of at most so many words, cut between sentences where that can be.

    >>> text = "One is here. Two is there. Three."
    >>> [text[start:end] for start, end in passages(text, 6)]
    ['One is here. Two is there.', 'Three.']
    """
    found: list[tuple[int, int]] = []
    room = 0
    for start, end in sentences(text):
        size = len(text[start:end].split())
        if found and size <= room:
            found[-1] = (found[-1][0], end)
            room -= size
        else:
            found.append((start, start + _reach(text[start:end], words)))
            room = words - size
    return found


def _reach(sentence: str, words: int) -> int:
    """Return where the first so many words of a sentence end."""
    ends = [mark.end() for mark in re.finditer(r"\S+", sentence)]
    return ends[min(words, len(ends)) - 1]


def grounding(output: str, text: str) -> float:
    """Return the least ROUGE-1 precision, against `text`, of a sentence of `output`; 0 to 1.

    That is the share of a sentence's words that the text has too, each as often as there.
    Words are of any script, in lower case. NaN where the output has no word.

    >>> grounding("Bees dance. Wolves sing.", "Here bees dance in the sun.")
    0.0
    """
    has = Counter(_WORD.findall(text.lower()))
    shares = []
    for start, end in sentences(output):
        said = Counter(_WORD.findall(output[start:end].lower()))
        if said:
            shares.append((said & has).total() / said.total())
    return min(shares, default=float("nan"))
