"""A prompt as compressors see it: one text, and which parts of it are what."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tamis.errors import DataError

__all__ = ["DOCUMENT", "INSTRUCTION", "QUESTION", "Part", "Source"]

INSTRUCTION, DOCUMENT, QUESTION = "instruction", "document", "question"

_BLANK_LINES = re.compile(r"\n[ \t]*\n\s*")
_BETWEEN = "\n\n"


@dataclass(frozen=True)
class Part:
    """A stretch of the prompt: an instruction, a document or the question."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Source:
    """What is to be compressed.

    Attributes
    ----------
    text : str
        All of it.
    parts : tuple of Part
        In the order of the text; what lies between two of them separates them.
    """

    text: str
    parts: tuple[Part, ...]

    @classmethod
    def of_prompt(cls, prompt: str, question: str, instruction: str, *, split: bool) -> "Source":
        """Return a prompt, a document of its own or, with `split`, one a paragraph."""
        _check(prompt, "the prompt")
        inner = [(0, len(prompt))]
        if split:
            breaks = [found.span() for found in _BLANK_LINES.finditer(prompt)]
            starts = [0, *(end for _, end in breaks)]
            ends = [*(start for start, _ in breaks), len(prompt)]
            inner = [(a, b) for a, b in zip(starts, ends, strict=True) if a < b] or inner
        return cls._framed(prompt, inner, question, instruction)

    @classmethod
    def of_documents(cls, documents: Sequence[str], question: str, instruction: str) -> "Source":
        """Return documents, with a blank line between them."""
        inner, at = [], 0
        for number, document in enumerate(documents):
            _check(document, f"document {number}")
            inner.append((at, at + len(document)))
            at += len(document) + len(_BETWEEN)
        return cls._framed(_BETWEEN.join(documents), inner, question, instruction)

    @classmethod
    def _framed(
        cls, text: str, inner: list[tuple[int, int]], question: str, instruction: str
    ) -> "Source":
        _check(question, "the question")
        _check(instruction, "the instruction")
        parts: list[Part] = []
        before = instruction + _BETWEEN if instruction and text else instruction
        if instruction:
            parts.append(Part(INSTRUCTION, 0, len(instruction)))
        parts += [Part(DOCUMENT, len(before) + a, len(before) + b) for a, b in inner if a < b]
        whole = before + text
        if question:
            whole += _BETWEEN if whole else ""
            parts.append(Part(QUESTION, len(whole), len(whole) + len(question)))
            whole += question
        return cls(whole, tuple(parts))

    def of(self, kind: str) -> list[int]:
        """Return the positions, among the parts, of those of a kind."""
        return [i for i, part in enumerate(self.parts) if part.kind == kind]

    def words(self, part: int) -> str:
        """Return the text of a part."""
        return self.text[self.parts[part].start : self.parts[part].end]


def _check(text: str, what: str) -> None:
    if not isinstance(text, str):
        raise DataError(f"{what} is {type(text).__name__}, not text; give a str")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{what}: character {error.start} is half of a surrogate pair, which no tokenizer "
            "reads; decode the text with errors='replace'"
        ) from None
