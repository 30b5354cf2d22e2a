r"""Where a text may be cut: never inside a character as people see it, by default between words.

A word takes along the white space and the opening punctuation before it, so that words which
were not neighbours never run together: of "a dog,\nthe cat" the words are "a", " dog", ",",
"\nthe" and " cat". Scripts that are written without spaces are cut between their tokens.
"""

import re
import unicodedata
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Units", "between_characters", "characters_cut", "edges_of", "with_digits", "word_edges"]

Edges = npt.NDArray[np.int64]
Units = Literal["word", "token"]

_SPACE, _WORD, _MARK, _UNSPACED = range(4)
_JOINS = frozenset("'’-.,:/@_·‐")  # between two letters or digits: part of the word
_ZWJ, _CR, _LF = 0x200D, 0x0D, 0x0A
_SKIN, _FLAGS, _TAGS = (0x1F3FB, 0x1F3FF), (0x1F1E6, 0x1F1FF), (0xE0020, 0xE007F)
_JAMO = (0x1160, 0x11FF)  # vowels and finals, which go with what is before them
_UNSPACED_BLOCKS = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0xA4CF),
                    (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # fmt: skip


def edges_of(text: str, spans: npt.NDArray[np.int64], units: Units) -> Edges:
    """Return where a text may be cut, given the spans of its tokens."""
    ends = np.unique(np.append(spans[:, 1], len(text)))
    return word_edges(text, ends) if units == "word" else ends


def word_edges(text: str, ends: Edges) -> Edges:
    """Return those of `ends` that lie between words.

    Parameters
    ----------
    text : str
    ends : int64 array
        Where tokens end, sorted, from 1 to the length of the text.

    Examples
    --------
    >>> text = "Don't panic: it's 3.14"
    >>> [int(end) for end in word_edges(text, np.arange(1, len(text) + 1))]
    [5, 11, 12, 17, 22]
    """
    inner = ends[(ends > 0) & (ends < len(text))]
    kinds = _kinds(text)
    before, after = kinds[inner - 1], kinds[inner]
    unspaced = (before == _UNSPACED) | (after == _UNSPACED)
    word_ends = (before == _WORD) & (after == _MARK)
    fair = (before != _SPACE) & ((after == _SPACE) | unspaced | word_ends)
    return np.append(inner[fair], len(text))


def with_digits(text: str, ends: Edges) -> npt.NDArray[np.bool_]:
    """Return which of the units that end there, side by side, have a digit.

    >>> with_digits("in 1901, then", np.array([2, 7, 8, 13])).tolist()
    [False, True, False, False]
    """
    places = [found.start() for found in re.finditer(r"\d", text)]
    units = np.searchsorted(ends, places, side="right")
    return np.bincount(units[units < len(ends)], minlength=len(ends)) > 0


def between_characters(text: str, edges: Edges) -> Edges:
    """Return those of `edges` that are not inside a character as people see it.

    A letter and its accents, a flag, a family of emoji, a syllable of Hangul in parts, and
    the two halves of a line's end are one (the rules of Unicode's annex 29 without those on
    Indic conjuncts).
    """
    codes = _codes(text)
    doubtful = np.flatnonzero((edges > 0) & (edges < len(text)))
    at = edges[doubtful]
    plain = (codes[at] < 0x300) & (codes[at] != _LF) & (codes[at - 1] != _ZWJ)
    cut = [i for i in doubtful[~plain] if characters_cut(text, int(edges[i]))]
    return np.delete(edges, cut)


def characters_cut(text: str, at: int) -> bool:
    """Whether the place before `text[at]` is inside a character as people see it.

    >>> [characters_cut("e\u0301\U0001f1e9\U0001f1ea", at) for at in range(1, 4)]
    [True, False, True]
    """
    if not 0 < at < len(text):
        return False
    before, after = ord(text[at - 1]), ord(text[at])
    if before in (_CR, _LF) or after in (_CR, _LF):
        return before == _CR and after == _LF
    if _FLAGS[0] <= before <= _FLAGS[1] and _FLAGS[0] <= after <= _FLAGS[1]:
        first = at
        while first > 0 and _FLAGS[0] <= ord(text[first - 1]) <= _FLAGS[1]:
            first -= 1
        return (at - first) % 2 == 1
    if before == _ZWJ and unicodedata.category(text[at]) == "So":
        return True
    inside = any(low <= after <= high for low, high in (_SKIN, _TAGS, _JAMO))
    return inside or after == _ZWJ or unicodedata.category(text[at]) in {"Mn", "Me", "Mc"}


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _kinds(text: str) -> npt.NDArray[np.int8]:
    """Return what each character is: white space, part of a word, a mark, or unspaced."""
    codes = _codes(text)
    known, places = np.unique(codes, return_inverse=True)
    kinds = np.array([_kind(chr(code)) for code in known.tolist()], np.int8)[places]
    joins = np.isin(codes, [ord(join) for join in _JOINS])
    inner = joins[1:-1] & (kinds[:-2] == _WORD) & (kinds[2:] == _WORD)
    kinds[1:-1][inner] = _WORD
    return kinds


def _kind(character: str) -> int:
    if character.isspace():
        return _SPACE
    if any(low <= ord(character) <= high for low, high in _UNSPACED_BLOCKS):
        return _UNSPACED
    letter = character.isalnum() or unicodedata.category(character)[0] == "M"
    return _WORD if letter or character == "\u200d" else _MARK
