"""LongLLMLingua: documents that make the question likely, and in them what the question asks for.

    documents   r_k = −(1/N) Σ_i log p(x_i^question | document k): the lower, the more relevant
    tokens      s_i = log p(x_i | question, x_<i) − log p(x_i | x_<i): what the question foretells
    shares      τ_k = clip(τ + (1 − 2 I(r_k) / K') δτ, 0, 1), I(r_k) = 0 for the best of K'
    order       the most relevant document first

Jiang et al., arXiv 2310.06839. What it costs: each document is read once with the question
behind it, which gives r_k and its own surprise; `contrastive` reads those that were chosen
once more, with the question before them.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tamis.errors import SettingError
from tamis.prompting.compression.base import Compressor, Job
from tamis.prompting.compression.pick import Budget
from tamis.prompting.compression.ranking import Floats, Weighed
from tamis.prompting.compression.released import RESTRICT, Released
from tamis.prompting.compression.result import Compressed
from tamis.prompting.compression.source import DOCUMENT, INSTRUCTION, QUESTION, Source
from tamis.prompting.compression.surprise import Ids, Meter, Surprise
from tamis.prompting.compression.units import Units, edges_of

__all__ = ["LongLLMLingua"]

_LEAST = 1e-6  # share of a chosen document: before those that were not, whatever the budget


@dataclass(kw_only=True, repr=False)
class LongLLMLingua(Compressor):
    """Keep the documents, and the words in them, that have to do with the question.

    Parameters
    ----------
    units : 'word' or 'token'
        What is kept or dropped as a whole.
    coarse : float
        Documents are taken, the most relevant first, until they have so many times the
        budget. A model that ranks well wants little more than 1.
    dynamic : float
        δτ: how much more of the best document is kept than of the middle one. 0 keeps a
        like share of each.
    reorder : bool
        Put the most relevant document first, where models read best.
    contrastive : bool
        Score words by what the question changes (the paper); otherwise by their surprise,
        which reads the documents once less.
    segment : int
        With `reference`: tokens a segment.
    reference : bool
        The released code's behaviour (llmlingua 0.2.2, `rank_method="longllmlingua"`),
        token for token; see `LLMLingua`.

    See Also
    --------
    LLMLingua : without a question.

    Notes
    -----
    A single prompt is taken as one document a paragraph.

    References
    ----------
    Jiang et al., arXiv 2310.06839.
    """

    name: ClassVar[str] = "longllmlingua"
    splits: ClassVar[bool] = True
    units: Units = "word"
    coarse: float = 1.2
    dynamic: float = 0.3
    reorder: bool = True
    contrastive: bool = False
    segment: int = 200
    reference: bool = False

    def compress(self, job: Job) -> list[Compressed]:
        """Return each source compressed to its budget."""
        for source in job.sources:
            if not source.of(QUESTION):
                raise SettingError(f"{self.name} goes by a question; give question=…")
        if not self.reference:
            return super().compress(job)
        return Released(
            iterative_size=self.segment,
            rank="after",
            reorder="sort" if self.reorder else "original",
            dynamic=self.dynamic,
            contrastive=self.contrastive,
            conditioned=self.contrastive,
        ).compress(job, self.name)

    def _weigh(self, job: Job) -> list[Weighed]:
        pieces = [_Documents.of(source, job.meter) for source in job.sources]
        job.meter.read([text for one in pieces for text in one.texts()])  # all in one batch
        return [
            self._weighed(source, one, budget, job.meter)
            for source, one, budget in zip(job.sources, pieces, job.budgets, strict=True)
        ]

    def _weighed(
        self, source: Source, documents: "_Documents", budget: Budget, meter: Meter
    ) -> Weighed:
        said = meter.read(documents.texts())
        lengths, relevance = documents.lengths(said), documents.relevance(said)
        fixed = sum(
            meter.count(source.words(i)) for i in source.of(INSTRUCTION) + source.of(QUESTION)
        )
        left = budget.rate * (int(lengths.sum()) + fixed) - fixed
        best = _until(relevance, lengths, self.coarse * left)
        spans, losses = documents.tokens(said)
        read = sum(one.model_tokens for one in said)
        if self.contrastive:
            losses, more = documents.contrast(meter, spans, losses, best)
            read += more
        shares = np.zeros(len(source.parts))
        even = left / max(1, int(lengths[best].sum()))
        spread = 1 - 2 * np.arange(len(best)) / max(1, len(best))
        shares[[documents.parts[i] for i in best]] = np.clip(
            even + spread * self.dynamic, _LEAST, 1
        )
        return Weighed(
            spans,
            losses,
            edges_of(source.text, spans, self.units),
            np.array([(part.start, part.end) for part in source.parts], np.int64),
            np.arange(len(source.parts)),
            shares,
            self._order(source, documents, relevance),
            read,
        )

    def _order(self, source: Source, documents: "_Documents", relevance: Floats) -> tuple[int, ...]:
        if not self.reorder:
            return tuple(range(len(source.parts)))
        ranks = np.argsort(np.where(np.isnan(relevance), np.inf, relevance), kind="stable")
        ranked = [documents.parts[i] for i in ranks]
        return (*source.of(INSTRUCTION), *ranked, *source.of(QUESTION))


def _until(relevance: Floats, lengths: Ids, cap: float) -> list[int]:
    """Return the most relevant documents, up to the one with which they have `cap` tokens."""
    order = np.argsort(np.where(np.isnan(relevance), np.inf, relevance), kind="stable")
    enough = int(np.searchsorted(np.cumsum(lengths[order]), cap)) + 1
    return [int(i) for i in order[:enough]]


@dataclass(frozen=True, eq=False)
class _Documents:
    """The documents of a source, in pieces that fit the model with the question behind them."""

    source: Source
    parts: list[int]
    ask: str
    pieces: list[tuple[int, int, int]]
    """Which document, and the span of the source's text."""

    @classmethod
    def of(cls, source: Source, meter: Meter) -> "_Documents":
        parts = source.of(DOCUMENT)
        ask = "\n\n" + source.words(source.of(QUESTION)[0]) + RESTRICT
        room = max(16, meter.context - meter.count(ask) - 16)
        pieces = []
        for number, i in enumerate(parts):
            ends = meter.cut(source.words(i), room)
            start = source.parts[i].start
            pieces += [
                (number, start + a, start + b) for a, b in zip([0, *ends], ends, strict=False)
            ]
        return cls(source, parts, ask, pieces)

    def texts(self) -> list[str]:
        """Return each piece with the question behind it."""
        return [self.source.text[start:end] + self.ask for _, start, end in self.pieces]

    def lengths(self, said: list[Surprise]) -> Ids:
        """Return the number of tokens of each document."""
        counts = np.zeros(len(self.parts), np.int64)
        for (number, start, end), one in zip(self.pieces, said, strict=True):
            counts[number] += int(one.within(0, end - start).sum())
        return counts

    def relevance(self, said: list[Surprise]) -> Floats:
        """Return r_k: the mean loss of the question given each document; of its best piece."""
        values = np.full(len(self.parts), np.nan)
        for (number, start, end), one in zip(self.pieces, said, strict=True):
            losses = one.losses[one.spans[:, 1] > end - start + 2]
            known = losses[~np.isnan(losses)]
            if len(known):
                values[number] = np.fmin(values[number], known.mean())
        return values

    def tokens(self, said: list[Surprise]) -> tuple[Ids, Floats]:
        """Return the documents' own tokens and their losses."""
        spans, losses = [np.empty((0, 2), np.int64)], [np.empty(0)]
        for (_, start, end), one in zip(self.pieces, said, strict=True):
            own = one.within(0, end - start)
            spans.append(one.spans[own] + start)
            losses.append(one.losses[own])
        return np.concatenate(spans), np.concatenate(losses)

    def contrast(
        self, meter: Meter, spans: Ids, losses: Floats, best: list[int]
    ) -> tuple[Floats, int]:
        """Return the losses less those given the question, of the best documents; tokens read."""
        before = self.ask.strip() + "\n\n"
        chosen = [piece for piece in self.pieces if piece[0] in best]
        pairs = [(before, self.source.text[start:end]) for _, start, end in chosen]
        scores = losses.copy()
        said = meter.given(pairs)
        for (_, start, end), one in zip(chosen, said, strict=True):
            own = np.flatnonzero((spans[:, 1] > start) & (spans[:, 1] <= end))
            ends = one.spans[:, 1] + start
            place = np.minimum(np.searchsorted(ends, spans[own, 1]), len(ends) - 1)
            same = ends[place] == spans[own, 1]
            scores[own] = np.where(same, losses[own] - one.losses[place], np.nan)
        return scores, sum(one.model_tokens for one in said)
