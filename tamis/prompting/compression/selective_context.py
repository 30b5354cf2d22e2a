"""Selective Context: keep the phrases that carry the most information.

    I(x_t) = −log p(x_t | x_<t), within the sentence;  I(unit) = Σ I(x_t)

Li et al., arXiv 2310.06201. Departures: units are kept by token budget, not by a percentile
of their number; phrases are cut by function words and punctuation instead of spaCy's noun
chunks, so that no parser is needed (`phrases` takes one). `reference` gives the released
code: the mean instead of the sum, the percentile, white space collapsed first.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tamis.errors import SettingError
from tamis.prompting.compression.base import Compressor, Job, whole_parts
from tamis.prompting.compression.pick import Budget
from tamis.prompting.compression.ranking import Floats, Weighed
from tamis.prompting.compression.result import Compressed
from tamis.prompting.compression.source import DOCUMENT, Source
from tamis.prompting.compression.surprise import Ids, Surprise
from tamis.prompting.compression.units import edges_of

__all__ = ["SelectiveContext", "phrase_ends", "sentence_ends"]

_SENTENCE = re.compile(r"(?:(?<=[.!?…])[\"'”’)\]]*(?=\s)|(?<=[。！？])|\n)\s*")
_ABBREVIATED = re.compile(r"(?:\b[A-Za-z]|\b(?:[A-Z][a-z]|Mrs|Prof|vs|etc|cf|[ei]\.[eg]|No))\.\Z")
_WORD = re.compile(r"\s*(?:[\u2e80-\ua4cf]|[^\s\u2e80-\ua4cf]+)|\s+\Z")
_RELEASED_SENTENCE = re.compile(r"(?<!\w\.\w.)(?<![A-Z][a-z]\.)(?<=\.|\?)\s")
_LONGEST = 5  # words a phrase
_FUNCTION_WORDS = frozenset(
    """
    a about after against all although an and any are as at be because been before being
    between both but by can could did do does during each either for from had has have he
    her his how if in into is it its may might must my neither no nor not of on or our
    over she should since so some such than that the their them then there these they this
    those through to under until upon was we were what when where whether which while who
    whose will with within without would you your
    """.split()  # noqa: SIM905 - a list of them would fill the page
)


@dataclass(kw_only=True, repr=False)
class SelectiveContext(Compressor):
    """Keep the phrases that carry the most information, sentence by sentence.

    Parameters
    ----------
    units : 'phrase', 'token' or 'sentence'
        What is kept or dropped as a whole.
    phrases : callable, optional
        Cuts a sentence into phrases, which must join to it. With spaCy and its noun chunks
        merged: ``lambda sentence: [token.text_with_ws for token in nlp(sentence)]``.
    reference : bool
        The released code's behaviour. The share `1 - rate` of the *units* is dropped, so
        that the result has about `rate` of the tokens; `original` is then the text with
        its white space collapsed.

    See Also
    --------
    LLMLingua : word by word, given all of the text before it.

    References
    ----------
    Li et al., arXiv 2310.06201.
    """

    name: ClassVar[str] = "selective-context"
    units: Literal["phrase", "token", "sentence"] = "phrase"
    phrases: Callable[[str], Sequence[str]] | None = None
    reference: bool = False

    def __post_init__(self) -> None:
        if self.units not in ("phrase", "token", "sentence"):
            raise SettingError(
                f"{self.name}: units={self.units!r}; give 'phrase', 'token' or 'sentence'"
            )

    def compress(self, job: Job) -> list[Compressed]:
        """Return each source compressed to its budget."""
        if not self.reference:
            return super().compress(job)
        if job.keep or job.structure:
            raise SettingError(
                f"{self.name}: the released code protects nothing; drop keep= and structure=, "
                "or reference=True"
            )
        return [
            self._released(source, budget, job)
            for source, budget in zip(job.sources, job.budgets, strict=True)
        ]

    def _weigh(self, job: Job) -> list[Weighed]:
        cuts = [_sentences(source) for source in job.sources]
        job.meter.read(
            [one.text[a:b] for one, cut in zip(job.sources, cuts, strict=True) for a, b in cut]
        )  # all in one batch
        return [
            self._weighed(source, cut, job) for source, cut in zip(job.sources, cuts, strict=True)
        ]

    def _weighed(self, source: Source, cut: list[tuple[int, int]], job: Job) -> Weighed:
        said = job.meter.read([source.text[a:b] for a, b in cut])
        starts = [a for a, _ in cut]
        spans, losses = _moved(said, starts)
        return Weighed(
            spans,
            losses,
            self._edges(source, cut, spans),
            **whole_parts(source),
            model_tokens=sum(one.model_tokens for one in said),
            summed=self.units != "token",
        )

    def _edges(self, source: Source, cut: list[tuple[int, int]], spans: Ids) -> Ids:
        if self.units == "token":
            return edges_of(source.text, spans, "token")
        if self.units == "sentence":
            return np.array([b for _, b in cut], np.int64)
        ends = [self._phrase_ends(source.text[a:b]) + a for a, b in cut]
        return np.concatenate([*ends, np.empty(0, np.int64)])

    def _phrase_ends(self, sentence: str) -> Ids:
        if self.phrases is None:
            return phrase_ends(sentence)
        phrases = list(self.phrases(sentence))
        if "".join(phrases) != sentence:
            raise SettingError(
                f"{self.name}: phrases= changed a sentence ({sentence[:40]!r}…); "
                "its pieces must join to what it was given"
            )
        return np.cumsum([len(phrase) for phrase in phrases], dtype=np.int64)

    def _released(self, source: Source, budget: Budget, job: Job) -> Compressed:
        text = re.sub(r"\s+", " ", source.text)
        cut = _released_sentences(text)
        said = job.meter.read([text[a:b] for a, b in cut])
        units, scores = [], []
        for (start, end), one in zip(cut, said, strict=True):
            ends = {
                "token": one.spans[:, 1],
                "sentence": np.array([end - start]),
                "phrase": self._phrase_ends(text[start:end]),
            }[self.units]
            begins = np.concatenate([[0], ends[:-1]])
            scores += _means(one, ends, text[start:end])
            units += [(start + a, start + b) for a, b in zip(begins, ends, strict=True)]
        limit = np.nanpercentile(scores, 100 * (1 - budget.rate)) if scores else 0.0
        kept = [unit for unit, score in zip(units, scores, strict=True) if not score < limit]
        pieces = self._with_spaces(kept, cut, text)
        result = "".join(text[a:b] for a, b in pieces)
        return Compressed(
            result,
            tuple(pieces),
            text,
            job.reader.count(result),
            job.reader.count(text),
            sum(one.model_tokens for one in said),
            self.name,
        )

    def _with_spaces(
        self, kept: list[tuple[int, int]], cut: list[tuple[int, int]], text: str
    ) -> list[tuple[int, int]]:
        """Add the spaces between sentences where the released code has them.

        Between sentences, kept or not, where whole sentences are dropped; before the first
        phrase of a sentence where phrases are; nowhere where tokens are.
        """
        borders = {start for start, _ in cut[1:]}
        if self.units == "sentence":
            return sorted([*kept, *((start - 1, start) for start in borders)])
        if self.units == "phrase":
            return [(a - 1, b) if a in borders else (a, b) for a, b in kept]
        return kept


def sentence_ends(text: str) -> Ids:
    """Return where the sentences of a text end; the space after one belongs to it.

    >>> sentence_ends("Dr. No left. He (Mr. X) did not.").tolist()
    [13, 32]
    """
    ends = [
        found.end()
        for found in _SENTENCE.finditer(text)
        if not _ABBREVIATED.search(text[max(0, found.start() - 8) : found.start()])
    ]
    return np.unique(np.array([*ends, len(text)], np.int64))


def phrase_ends(sentence: str) -> Ids:
    """Return where the phrases of a sentence end: before a function word, or after a comma.

    >>> text = "The quick fox jumps over the lazy dog, and sleeps."
    >>> [text[a:b] for a, b in zip([0, *phrase_ends(text)], phrase_ends(text))]
    ['The quick fox jumps', ' over the lazy dog,', ' and sleeps.']
    """
    ends: list[int] = []
    words, opened = 0, True
    for found in _WORD.finditer(sentence):
        word = found.group().strip()
        function = word.lower().strip("(\"'“‘[") in _FUNCTION_WORDS
        closed = bool(ends) and not sentence[ends[-1] - 1].isalnum()
        if words and (closed or words == _LONGEST or (function and not opened)):
            words = 0
        else:
            ends = ends[:-1]
        ends.append(found.end())
        words += 1
        opened = function
    return np.array(ends, np.int64)


def _sentences(source: Source) -> list[tuple[int, int]]:
    """Return the sentences of the documents."""
    found: list[tuple[int, int]] = []
    for part in source.of(DOCUMENT):
        start, text = source.parts[part].start, source.words(part)
        ends = (sentence_ends(text) + start).tolist()
        found += zip([start, *ends[:-1]], ends, strict=True)
    return found


def _released_sentences(text: str) -> list[tuple[int, int]]:
    starts, ends = [0], []
    for found in _RELEASED_SENTENCE.finditer(text):
        ends.append(found.start())
        starts.append(found.end())
    pieces = zip(starts, [*ends, len(text)], strict=True)
    trimmed = [(b - len(text[a:b].lstrip()), a + len(text[a:b].rstrip())) for a, b in pieces]
    return [(a, b) for a, b in trimmed if a < b]


def _moved(said: list[Surprise], starts: list[int]) -> tuple[Ids, Floats]:
    spans = [one.spans + start for one, start in zip(said, starts, strict=True)]
    losses = [one.losses for one in said]
    return (
        np.concatenate([*spans, np.empty((0, 2), np.int64)]),
        np.concatenate([*losses, np.empty(0)]),
    )


def _means(said: Surprise, ends: Ids, text: str) -> list[float]:
    """Return the mean information of each unit; a token across several is shared evenly."""
    parts: list[list[float]] = [[] for _ in ends]
    for (start, end), loss in zip(said.spans.tolist(), said.losses.tolist(), strict=True):
        last = int(np.searchsorted(ends, end))
        first = min(int(np.searchsorted(ends, start, side="right")), last)
        if first == last and ends[last] != end and text[start:end] == " ":
            continue
        for unit in range(first, last + 1):
            parts[unit].append(loss / (last + 1 - first))
    return [float(np.mean(part)) if part else float("nan") for part in parts]
