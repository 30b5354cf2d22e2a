"""LLMLingua's own way of reading: segment by segment, each after the compressed text before it.

    losses of segment j   −log p(x_i | what was kept of segments 1 … j−1, segment j up to x_i)
    kept of segment j     the share τ with the highest losses

Each round reads one segment of every prompt, in one batch. With log-probabilities of texts
alone the compressed text is read again for each segment: about 1 + τ (n − s) / 2 s times the
prompt, for n tokens in segments of s, while that fits the model's context.
"""

from dataclasses import dataclass, field

import numpy as np

from tamis.prompting.compression.base import Job
from tamis.prompting.compression.ranking import Floats, Weighed
from tamis.prompting.compression.source import DOCUMENT, INSTRUCTION, Source
from tamis.prompting.compression.surprise import Ids, Surprise
from tamis.prompting.compression.units import Units, edges_of

__all__ = ["InSegments"]


@dataclass(eq=False)
class _Reading:
    """A prompt, read up to some segment."""

    source: Source
    chosen: list[int]
    regions: Ids
    rate: float
    before: str
    spans: list[Ids] = field(default_factory=list)
    losses: list[Floats] = field(default_factory=list)
    model_tokens: int = 0

    def add(self, region: int, said: Surprise) -> None:
        """Take in what was read of a region, and keep its share for what comes after."""
        start, _ = self.regions[region]
        self.spans.append(said.spans + start)
        self.losses.append(said.losses)
        self.model_tokens += said.model_tokens
        losses = np.where(np.isnan(said.losses), np.inf if region == 0 else -np.inf, said.losses)
        best = np.argsort(-losses, kind="stable")[: int(len(losses) * self.rate)]
        kept = np.sort(best)
        ends = said.spans[:, 1] + start
        starts = np.concatenate([[start], ends[:-1]])
        text = self.source.text
        self.before += "".join(
            text[a:b] for a, b in zip(starts[kept].tolist(), ends[kept].tolist(), strict=True)
        )


class InSegments:
    """Read prompts side by side, a segment of each at a time."""

    def __init__(self, units: Units, segment: int, job: Job, chosen: list[list[int]]) -> None:
        self.units, self.segment, self.job = units, segment, job
        self.readings = [
            self._open(source, documents, budget.rate)
            for source, documents, budget in zip(job.sources, chosen, job.budgets, strict=True)
        ]

    def weigh(self) -> list[Weighed]:
        """Return what each token is worth, each segment a pool of its own."""
        rounds = max((len(reading.regions) for reading in self.readings), default=0)
        room = max(1, self.job.meter.context - self.segment - 16)
        for region in range(rounds):
            live = [one for one in self.readings if region < len(one.regions)]
            pairs = []
            for one in live:
                one.before = self.job.meter.tail(one.before, room)
                start, end = one.regions[region].tolist()
                pairs.append((one.before, one.source.text[start:end]))
            for one, said in zip(live, self.job.meter.given(pairs), strict=True):
                one.add(region, said)
        return [self._weighed(reading) for reading in self.readings]

    def _open(self, source: Source, chosen: list[int], rate: float) -> _Reading:
        meter = self.job.meter
        regions = [
            (source.parts[i].start + a, source.parts[i].start + b)
            for i in sorted(chosen)
            for a, b in _between(meter.cut(source.words(i), self.segment))
        ]
        lengths = [meter.count(source.words(i)) for i in range(len(source.parts))]
        fixed = sum(
            n for n, part in zip(lengths, source.parts, strict=True) if part.kind != DOCUMENT
        )
        budget = rate * sum(lengths) - fixed
        share = budget / max(1, sum(lengths[i] for i in chosen))
        before = "".join(source.words(i) + "\n\n" for i in source.of(INSTRUCTION))
        spans = np.array(regions, np.int64).reshape(-1, 2)
        return _Reading(source, chosen, spans, min(1.0, max(0.0, share)), before)

    def _weighed(self, reading: _Reading) -> Weighed:
        source = reading.source
        rest = [
            (part.start, part.end) for i, part in enumerate(source.parts) if i not in reading.chosen
        ]
        n = len(reading.regions)
        regions = np.concatenate([reading.regions, np.array(rest, np.int64).reshape(-1, 2)])
        order = np.argsort(regions[:, 0], kind="stable")
        spans = np.concatenate([*reading.spans, np.empty((0, 2), np.int64)])
        return Weighed(
            spans,
            np.concatenate([*reading.losses, np.empty(0)]),
            edges_of(source.text, spans, self.units),
            regions[order],
            np.concatenate([np.arange(n), np.full(len(rest), n)])[order],
            np.append(np.ones(n), 0.0),
            tuple(range(len(source.parts))),
            reading.model_tokens,
        )


def _between(ends: list[int]) -> list[tuple[int, int]]:
    return list(zip([0, *ends[:-1]], ends, strict=True))
