"""LongLLMLingua's subsequence recovery: mend what a response quotes from a compressed prompt.

For each longest run of the response's words that stands in the compressed prompt, the
shortest piece of the original that the run was left over from takes its place (Jiang et
al., arXiv 2310.06839, section 4.4). What was left over from where is known exactly, from
the spans that were kept, so that nothing has to be searched for in the original.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["recover"]

_WORD = re.compile(r"\S+")
_GAP = 60  # characters that a quote may have lost at one place; the released code: 10 tokens
_EDGES = ".,;:!?\"'()[]"


def recover(response: str, original: str, kept: Sequence[tuple[int, int]]) -> str:
    """Return the response with the words back that were dropped inside what it quotes.

    Parameters
    ----------
    response : str
    original : str
    kept : sequence of (int, int)
        The spans of `original` that the compressed prompt is the join of.

    Examples
    --------
    >>> recover("Wilhelm Röntgen!", "To Wilhelm Conrad Röntgen it went.", [(0, 10), (17, 34)])
    'Wilhelm Conrad Röntgen!'
    """
    compressed = "".join(original[start:end] for start, end in kept)
    places = np.concatenate([np.arange(start, end) for start, end in kept] or [np.empty(0, int)])
    words = [(found.start(), found.end()) for found in _WORD.finditer(response)]
    parts: list[str] = []
    done = at = 0
    while at < len(words):
        run = _longest_run(response, words, at, compressed)
        if run == at:
            at += 1
            continue
        begin, end = _trimmed(response, words[at][0], words[run - 1][1])
        whole = _shortest(original, compressed, places, response[begin:end])
        parts += [response[done:begin], whole]
        done, at = end, run
    return "".join([*parts, response[done:]])


def _longest_run(response: str, words: list[tuple[int, int]], at: int, compressed: str) -> int:
    """Return how far the words from `at` on stand in the compressed prompt as they are."""
    run = at
    while run < len(words):
        begin, end = _trimmed(response, words[at][0], words[run][1])
        if begin >= end or response[begin:end] not in compressed:
            break
        run += 1
    return run


def _trimmed(response: str, begin: int, end: int) -> tuple[int, int]:
    """Leave out the punctuation around a quote: the response's, not the prompt's."""
    while begin < end and response[begin] in _EDGES:
        begin += 1
    while begin < end and response[end - 1] in _EDGES:
        end -= 1
    return begin, end


def _shortest(original: str, compressed: str, places: npt.NDArray[np.int64], quote: str) -> str:
    """Return the shortest piece of the original that was compressed to `quote`."""
    best = quote
    found = compressed.find(quote)
    while found >= 0:
        held = places[found : found + len(quote)]
        begin, end = int(held[0]), int(held[-1]) + 1
        near = bool((np.diff(held) > 0).all() and (np.diff(held) <= _GAP).all())
        if near and (best is quote or end - begin < len(best)):
            best = original[begin:end]
        found = compressed.find(quote, found + 1)
    return best
