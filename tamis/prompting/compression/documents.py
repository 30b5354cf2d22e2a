"""Compress what a search found, and say which document each word left is from."""

from collections.abc import Sequence
from typing import Any

from tamis.prompting.compression.press import compress
from tamis.prompting.compression.source import DOCUMENT, Source

__all__ = ["compress_documents"]


def compress_documents(
    documents: Sequence[str],
    question: str,
    **how: Any,  # noqa: ANN401 - those of `compress`
) -> list[tuple[int, str]]:
    """Return the documents of which something is left: their positions, and what it is.

    In the order of the compressed prompt, which a method may choose. The budget is that of
    the prompt, question and all.

    Examples
    --------
    >>> compress_documents(
    ...     ["one two", "three four"], "", rate=0.75, method="truncate", tokenizer=str.split
    ... )
    [(0, 'one two'), (1, 'three')]
    """
    texts = list(documents)
    done = compress(contexts=texts, question=question, **how)
    source = Source.of_documents(texts, question, "")
    named = [i for i, text in enumerate(texts) if text]
    left: dict[int, list[str]] = {}
    for start, end in done.kept:
        for number, place in zip(named, source.of(DOCUMENT), strict=True):
            part = source.parts[place]
            words = source.text[max(start, part.start) : min(end, part.end)]
            if words:
                left.setdefault(number, []).append(words)
    return [(number, "".join(pieces).strip()) for number, pieces in left.items()]
