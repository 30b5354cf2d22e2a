"""What must come out whole: what the caller names, and what programs read.

Code between back-ticks, JSON, XML tags, addresses, placeholders such as {name}, and numbers.
"""

import json
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tamis.errors import SettingError

__all__ = ["named", "structured"]

Spans = npt.NDArray[np.int64]

_PATTERNS = [
    r"(?P<fence>`{3,}|~{3,}).*?(?:(?P=fence)|\Z)",  # a block of code, closed or not
    r"`[^`\n]+`",
    r"</?[A-Za-z][\w:.-]*(?:\s[^<>]*)?/?>",
    r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s<>\"'`]+",
    r"\bwww\.[^\s<>\"'`]+",
    r"\b[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+",
    r"\{\{[^{}\n]{1,80}\}\}|\$?\{[^{}\s]{0,80}\}|%\(\w{1,80}\)[a-z]",
    r"[-+−]?[$€£¥]?\d+(?:[.,:/–-]\d+)*(?:\s?%)?",
]
_STRUCTURE = [re.compile(pattern, re.DOTALL) for pattern in _PATTERNS]
_OPENING = re.compile(r"[{\[]")
_DEEP = re.compile(r"(?:[{\[]\s*){100}")  # no one's data; the decoder would stop at 1000 anyway


def structured(text: str) -> Spans:
    """Return the spans of what programs read: int64 of shape (n, 2), sorted, apart."""
    found = [match.span() for pattern in _STRUCTURE for match in pattern.finditer(text)]
    return _apart(found + _json(text))


def named(text: str, patterns: Sequence[str]) -> Spans:
    """Return the spans that any of the regular expressions matches, sorted and apart.

    Raises
    ------
    SettingError
        If one is not a regular expression.
    """
    found = []
    for pattern in patterns:
        try:
            found += [match.span() for match in re.finditer(pattern, text)]
        except re.error as error:
            raise SettingError(
                f"keep={pattern!r}: not a regular expression ({error}); escape what it should match"
            ) from None
    return _apart(found)


def _json(text: str) -> list[tuple[int, int]]:
    """Return where objects and arrays of JSON stand, the outermost ones."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (opening := _OPENING.search(text, at)) is not None:
        at = opening.start()
        deep = _DEEP.match(text, at)
        if deep is not None:
            at = deep.end()
            continue
        try:
            _, end = decoder.raw_decode(text, at)
        except ValueError:
            at += 1
            continue
        found.append((at, end))
        at = end
    return found


def _apart(found: list[tuple[int, int]]) -> Spans:
    """Merge spans that touch or overlap.

    >>> _apart([(4, 6), (0, 2), (5, 9), (3, 3)]).tolist()
    [[0, 2], [4, 9]]
    """
    merged: list[list[int]] = []
    for start, end in sorted(span for span in found if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return np.array(merged, np.int64).reshape(-1, 2)
