"""Find where a server's tokens lie in a text, from how it spells them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["spans_of", "unspelt"]


def unspelt(token: str) -> bool:
    """Return whether a token is part of a character, which servers show as '' or as '�'.

    >>> [unspelt(token) for token in ["", "�", " é"]]
    [True, True, False]
    """
    return not token or "�" in token


def spans_of(tokens: Sequence[str], text: str) -> npt.NDArray[np.int64] | None:
    """Return where each token starts and ends in `text`: int64 of shape (t, 2).

    Tokens that are parts of a character share the span of what they make together. A token
    that is not in the text (a BOS token) has an empty span. None where the tokens do not
    spell the text.

    >>> spans_of(["<s>", "A", " ca", "f", "�", "�"], "A café").tolist()
    [[0, 0], [0, 1], [1, 4], [4, 5], [5, 6], [5, 6]]
    >>> spans_of(["A", "", "é", "!"], "Aé!").tolist()
    [[0, 1], [1, 2], [1, 2], [2, 3]]
    >>> spans_of(["A", "b"], "A cat") is None
    True
    """
    spans: list[tuple[int, int]] = []
    at = parts = 0  # where the next token starts; how many before it wait for their span
    for token in tokens:
        if unspelt(token):
            parts += 1
            continue
        begin = _place(token, text, at, loose=parts > 0)
        if begin is None:
            spans += [(at, at)] * (parts + 1)
            parts = 0
            continue
        end = begin + len(token)
        blank = not text[at:begin].strip()  # some spell a word without the space before it
        gap = (at, end) if blank else (at, begin)
        spans += [gap] * parts
        spans.append((at, end) if blank else (begin, end))
        at, parts = end, 0
    spans += [(at, len(text))] * parts
    whole = parts or at == len(text)
    return np.array(spans, np.int64).reshape(-1, 2) if whole else None


def _place(token: str, text: str, at: int, *, loose: bool) -> int | None:
    """Return where a token starts, at `at` or after blanks; after unspelt ones, the next place."""
    if loose:
        found = text.find(token, at)
        return found if found >= 0 else None
    begin = len(text) - len(text[at:].lstrip()) if not text.startswith(token, at) else at
    return begin if text.startswith(token, begin) else None
