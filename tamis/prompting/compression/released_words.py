"""LLMLingua-2 as llmlingua 0.2.2 computes it, word for word.

Each chunk has its own threshold: the percentile ``int(100 (1 - rate) + 1)`` of its words'
probabilities, each repeated by its number of tokens to the reader. Unknown words vanish.
"""

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tamis.errors import SettingError
from tamis.prompting.compression.base import Job
from tamis.prompting.compression.pick import Budget
from tamis.prompting.compression.readers import Reader
from tamis.prompting.compression.result import Compressed
from tamis.prompting.compression.source import DOCUMENT, Source

if TYPE_CHECKING:
    from tamis.models.tagger import Tagged, Tagger

__all__ = ["ReleasedWords", "Word"]

_CLOSING = frozenset({".", "\n"})


@dataclass(frozen=True)
class Word:
    """A word of a text, as the released code joins tokens to words."""

    text: str
    start: int
    end: int
    keep: float


@dataclass(frozen=True)
class ReleasedWords:
    """The released code's arguments.

    Parameters
    ----------
    tagger : Tagger
    force_tokens : tuple of str
        Each must be one token of the vocabulary.
    force_digits : bool
        Tokens with a digit count as kept (`force_reserve_digit`).
    drop_consecutive : bool
        Of forced words that follow each other one is kept.
    word_score : 'mean' or 'first'
        From tokens to words (`token_to_word`).
    """

    tagger: "Tagger"
    force_tokens: tuple[str, ...] = ()
    force_digits: bool = False
    drop_consecutive: bool = False
    word_score: Literal["mean", "first"] = "mean"

    def compress(self, job: Job, method: str) -> list[Compressed]:
        """Return each source compressed; the instruction and the question stay whole."""
        if job.keep or job.structure:
            raise SettingError(
                f"{method}: the released code knows force_tokens= and force_digits= alone; drop "
                "keep= and structure=, or reference=True"
            )
        for token in self.force_tokens:
            if len(self.tagger.ends(token)[1]) != 1:
                raise SettingError(
                    f"{method}: {token!r} is not one token of {self.tagger!r}, and a new one would "
                    "have random weights; drop it from force_tokens, or use keep="
                )
        return [
            self._compressed(source, budget, job.reader, method)
            for source, budget in zip(job.sources, job.budgets, strict=True)
        ]

    def labels(self, words: list[Word], rate: float, reader: Reader) -> list[bool]:
        """Return which words of a chunk are kept."""
        keep = [word.keep for word in words]
        if self.drop_consecutive:
            keep = self._apart(words, keep, float(np.percentile(keep, int(100 * (1 - rate)))))
        counts = [reader.count(word.text) for word in words]
        limit = np.percentile(np.repeat(keep, counts), int(100 * (1 - rate) + 1))
        kept: list[bool] = []
        last = ""
        for word, value in zip(words, keep, strict=True):
            stays = bool(value > limit or (limit == 1.0 and value == limit))
            if self.drop_consecutive and word.text in self.force_tokens and word.text == last:
                stays = False
            last = word.text if stays else last
            kept.append(stays)
        return kept

    def words(self, tagged: "Tagged", text: str) -> list[Word]:
        """Return the words of a chunk with their probabilities."""
        found: list[tuple[int, int, list[float]]] = []
        rows = zip(tagged.tokens, tagged.spans.tolist(), tagged.keep, tagged.special, strict=True)
        for token, (start, end), keep, special in rows:
            if special:
                continue
            pure = token.lstrip("#") if token.startswith("##") else token.lstrip("▁")
            value = 1.0 if self.force_digits and re.search(r"\d", token) else float(keep)
            if self._opens(token) or not found:
                value = 1.0 if pure in self.force_tokens else value
                found.append((start, end, [value]))
            else:
                begin, _, values = found[-1]
                found[-1] = (begin, end, [*values, value])
        return [
            Word(text[a:b], a, b, float(np.mean(v)) if self.word_score == "mean" else v[0])
            for a, b, v in found
        ]

    def _opens(self, token: str) -> bool:
        """Whether a token begins a word: by WordPiece's sign, or by SentencePiece's."""
        if self._pieces:
            return not token.startswith("##") or token[2:] in self.force_tokens
        alone = token in string.punctuation or token in self.force_tokens
        return alone or token.startswith("▁")

    @property
    def _pieces(self) -> bool:
        return "▁" not in "".join(self.tagger.ends("a b")[1])

    def _compressed(
        self, source: Source, budget: Budget, reader: Reader, method: str
    ) -> Compressed:
        rate = budget.rate
        if budget.strict:
            whole = sum(reader.count(source.words(i)) for i in source.of(DOCUMENT))
            rate = min(budget.tokens / max(1, whole), 1.0)
        chunks = [
            (a, b)
            for i in source.of(DOCUMENT)
            for a, b in self._chunks(source.words(i), source.parts[i].start)
        ]
        tagged = self.tagger.tag([source.text[a:b] for a, b in chunks])
        alive = np.zeros(len(source.text), bool)
        for (start, end), one in zip(chunks, tagged, strict=True):
            words = self.words(one, source.text[start:end])
            for word, stays in zip(words, self.labels(words, rate, reader), strict=True):
                alive[start + word.start : start + word.end] = stays
        spans = _with_spaces(source, alive)
        text = "".join(source.text[a:b] for a, b in spans)
        read = sum(len(one.keep) + self.tagger.framing for one in tagged)
        return Compressed(
            text,
            tuple(spans),
            source.text,
            reader.count(text),
            budget.original_tokens,
            read,
            method,
        )

    def _chunks(self, text: str, start: int) -> list[tuple[int, int]]:
        """Return the chunks of a document: up to the last full stop or line's end that fits."""
        ends, tokens = self.tagger.ends(text)
        longest, n = self.tagger.context, len(tokens)
        found, at, begin = [], 0, 0
        while at < n:
            stop = n - 1
            if at + longest <= n - 1:
                stop = at + longest
                closing = (i for i in range(stop, at, -1) if tokens[i] in _CLOSING)
                stop = next(closing, stop)
            end = len(text) if stop == n - 1 else int(ends[stop])
            found.append((start + begin, start + end))
            at, begin = stop + 1, end
        return found

    def _apart(self, words: list[Word], keep: list[float], limit: float) -> list[float]:
        """Return the probabilities with 0 for a forced word that follows its like."""
        values, between, last = list(keep), False, ""
        for i, (word, value) in enumerate(zip(words, keep, strict=True)):
            if word.text not in self.force_tokens:
                between |= value > limit
                continue
            if not between and word.text == last:
                values[i] = 0.0
            between, last = False, word.text
        return values


def _with_spaces(
    source: Source, alive: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
) -> list[tuple[int, int]]:
    """Return the kept words, each with the white space before it, and what stays whole."""
    text = source.text
    for part in source.parts:
        if part.kind != DOCUMENT:
            alive[part.start : part.end] = True
    kept = np.flatnonzero(alive)
    if len(kept) == 0:
        return []
    for start in kept[np.concatenate([[True], np.diff(kept) > 1])].tolist():
        while start > 0 and text[start - 1].isspace() and not alive[start - 1]:
            start -= 1
            alive[start] = True
    held = np.flatnonzero(alive)
    breaks = np.flatnonzero(np.diff(held) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(held, breaks)]
