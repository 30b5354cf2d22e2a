"""LLMLingua and LongLLMLingua as llmlingua 0.2.2 computes them, token for token.

It differs from the papers, and from what one would expect: see `LLMLingua.reference`. Kept
here with its faults, to be compared with: prompts shorter than a segment come out whole, the
last segment nearly so; past the model's context the losses and the tokens they belong to no
longer meet, as positions are counted anew in one and not in the other.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tamis.errors import SettingError
from tamis.models.readings import Reading, TokenReader, token_reader
from tamis.prompting.compression.base import Job
from tamis.prompting.compression.pick import Budget, separators
from tamis.prompting.compression.released_steps import (
    Floats,
    Ids,
    Segment,
    Sequence,
    drop,
    schedule,
)
from tamis.prompting.compression.result import Compressed
from tamis.prompting.compression.source import DOCUMENT, INSTRUCTION, QUESTION, Source

__all__ = ["RESTRICT", "Released"]


RESTRICT = " We can get the answer to this question in the given documents."
_FIRST_KEPT = 10  # cache entries that stay when the context is full


@dataclass(frozen=True)
class Released:
    """The released code's arguments; names in brackets are its own.

    Parameters
    ----------
    iterative_size : int
        Tokens a segment.
    rank : 'none', 'before' or 'after'
        Documents by their own loss, by their loss after the question, or by that of the
        question after them (`condition_in_question`).
    reorder : 'original', 'sort' or 'two_stage'
        Order of the documents (`reorder_context`).
    dynamic : float
        How much more of the best document is kept (`dynamic_context_compression_ratio`).
    stretch, slack : float
        Documents are taken until they pass `target * stretch + slack` (`context_budget`).
    conditioned : bool
        Read with the question in front ('…_condition').
    contrastive : bool
        Go by what the question changes (`condition_compare`).
    """

    iterative_size: int = 200
    rank: Literal["none", "before", "after"] = "none"
    reorder: Literal["original", "sort", "two_stage"] = "original"
    dynamic: float = 0.0
    stretch: float = 1.0
    slack: float = 100.0
    conditioned: bool = False
    contrastive: bool = False

    def compress(self, job: Job, method: str) -> list[Compressed]:
        """Return each source compressed, one after the other."""
        if job.keep or job.structure:
            raise SettingError(
                f"{method}: the released code protects nothing; drop keep= and structure=, "
                "or reference=True"
            )
        reader = token_reader(job.meter.lm)
        return [
            _Run(self, source, budget, reader).compress(job, method)
            for source, budget in zip(job.sources, job.budgets, strict=True)
        ]

    def documents(self, order: list[int], lengths: list[int], target: float) -> list[int]:
        """Return the documents of a ranking that are used, as long as the budget lasts.

        >>> Released(slack=0).documents([0, 3, 1, 2], lengths=[5, 5, 5, 5], target=9)
        [0, 3]
        """
        left = (100 if target < 0 else target) * self.stretch + self.slack
        used = []
        for i in order:
            left -= lengths[i]
            used.append(i)
            if left < 0:
                break
        return used

    def placed(self, used: list[int]) -> list[int]:
        """Return the documents in the order of the result."""
        if self.reorder == "original":
            return sorted(used)
        return used[0::2] + used[1::2][::-1] if self.reorder == "two_stage" else used

    def offsets(self, used: list[int]) -> dict[int, float]:
        """Return how much is added to each document's rate, by its rank."""
        n = len(used)
        if self.dynamic <= 0 or n == 1:
            return dict.fromkeys(used, 0.0)
        step = self.dynamic / (n - 1)
        return {i: step * (n - 1 - 2 * rank) for rank, i in enumerate(used)}


@dataclass(eq=False)
class _Run:
    """One prompt."""

    how: Released
    source: Source
    budget: Budget
    reader: TokenReader
    model_tokens: int = 0

    def compress(self, job: Job, method: str) -> Compressed:
        source, parts = self.source, self.source.parts
        documents = source.of(DOCUMENT)
        texts = [source.words(i) for i in documents] or [""]
        lengths = [len(self.reader.framed(text)) for text in texts]
        target = self._target(lengths)
        used = list(range(len(texts)))
        if len(texts) > 1:
            used = self.how.documents(self._ranking(texts), lengths, target)
        placed = self.how.placed(used) if len(texts) > 1 else used
        offsets = self.how.offsets(used) if len(texts) > 1 else {0: 0.0}
        kept = self._kept([texts[i] for i in placed], target, [offsets[i] for i in placed])
        order = [documents[i] for i in placed] if documents else []
        spans = self._spans(order, kept)
        framed = [*source.of(INSTRUCTION), *(order if spans else []), *source.of(QUESTION)]
        between = separators(source, framed)
        pieces: list[tuple[int, int]] = []
        for part in source.of(INSTRUCTION):
            pieces += [(parts[part].start, parts[part].end), *between[:1]]
        pieces += spans
        for part in source.of(QUESTION):
            pieces += [*(between[-1:] if spans else []), (parts[part].start, parts[part].end)]
        text = "".join(source.text[start:end] for start, end in pieces)
        return Compressed(
            text,
            tuple(pieces),
            source.text,
            job.reader.count(text),
            self.budget.original_tokens,
            self.model_tokens,
            method,
        )

    def _target(self, lengths: list[int]) -> float:
        if self.budget.strict:
            return float(self.budget.tokens)
        source = self.source
        fixed = sum(
            len(self.reader.framed(source.words(i)))
            for i in source.of(INSTRUCTION) + source.of(QUESTION)
        )
        return (fixed + sum(lengths)) * self.budget.rate - fixed

    def _ranking(self, texts: list[str]) -> list[int]:
        """Return the documents, the most useful first."""
        asked = "".join(self.source.words(i) for i in self.source.of(QUESTION)) + RESTRICT
        means = []
        for text in texts:
            before, after = {"none": ("", text), "before": (asked, text), "after": (text, asked)}[
                self.how.rank
            ]
            losses = self._read(self.reader.open(), self.reader.framed(before + after))
            first = len(self.reader.framed(before)) - 1 if before else 0
            means.append(float(losses[first:].mean()))
        sign = -1 if self.how.rank == "none" else 1
        return sorted(range(len(texts)), key=lambda i: sign * means[i])

    def _kept(self, texts: list[str], target: float, offsets: list[float]) -> npt.NDArray[np.bool_]:
        """Return which characters of the joined documents survive."""
        lengths = [len(self.reader.encode(text)[0]) for text in texts]
        segments = schedule(lengths, target, self.how.iterative_size, offsets)
        joined = "\n\n".join(texts)
        prefix = ""
        if self.how.conditioned or self.how.contrastive:
            prefix = self.source.words(self.source.of(QUESTION)[0]) + "\n\n"
        ids, spans = self.reader.encode(prefix + joined)
        start = int((spans[:, 1] <= len(prefix)).sum()) if prefix else 0
        kept = self._iterate(ids, segments, start)
        ends = spans[:, 1] - len(prefix)
        begins = np.concatenate([[0], np.maximum.accumulate(ends)[:-1]])
        alive = np.zeros(len(joined), bool)
        for token in kept.tolist():
            alive[max(0, begins[token]) : ends[token]] = True
        return alive

    def _iterate(self, ids: Ids, segments: list[Segment], start: int) -> Ids:
        """Return which tokens are left, as positions in `ids`, without the first `start`."""
        size, context = self.how.iterative_size, self.reader.context
        main = Sequence(ids, np.arange(len(ids)), self.reader.open())
        own = None
        if self.how.contrastive:
            own = Sequence(ids[start:], np.arange(start, len(ids)), self.reader.open())
        end, gone = min(size + start, len(ids)), np.empty(0, np.int64)
        for number, segment in enumerate(segments):
            if end > len(main.ids):
                break
            if end > context and main.reading.length:
                extra = end - context
                gone = np.concatenate([gone, main.where[:extra]])
                first = min(_FIRST_KEPT + start, context)
                main.shift(extra, first)
                if own is not None:
                    own.shift(extra, min(first, own.reading.length - extra))
                end -= extra
            if not self._advance(main, end, size, number, cropped=end - size):
                break
            main.ready = 0 if start and number == 0 else end - size
            if own is not None:
                self._advance(own, end - start, size, number, cropped=end - size - start)
                own.ready = 0 if start and number == 0 else end - start - size
            for length, rate in segment:
                end = drop(main, own, start, end - size + length, length, rate) + size
        left: npt.NDArray[np.int64] = np.concatenate([gone, main.where])[start:]
        return left

    def _advance(self, sequence: Sequence, end: int, size: int, number: int, cropped: int) -> bool:
        """Read a sequence up to `end`, all of it at first; return whether there was anything."""
        losses = self._read(sequence.reading, sequence.ids, end if number else None)
        if len(losses) == 0:
            return False
        sequence.learn(losses, end)
        if number:
            sequence.reading.crop(cropped)
        else:
            sequence.reading.crop(0)
        return True

    def _read(self, reading: Reading, ids: Ids, end: int | None = None) -> Floats:
        losses = reading.read(ids, end)
        self.model_tokens += len(losses) + 1
        return losses

    def _spans(self, order: list[int], alive: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Return the surviving characters of the joined documents as spans of the source."""
        source = self.source
        places = []
        for part, after in zip(order, [*separators(source, order), None], strict=False):
            places.append(np.arange(source.parts[part].start, source.parts[part].end))
            if after is not None:
                places.append(np.arange(*after))
        held = np.concatenate([np.empty(0, np.int64), *places])[alive[: sum(map(len, places))]]
        if not "".join(source.text[at] for at in held.tolist()).strip():
            return []
        breaks = np.flatnonzero(np.diff(held) != 1) + 1
        return [(int(run[0]), int(run[-1]) + 1) for run in np.split(held, breaks)]
