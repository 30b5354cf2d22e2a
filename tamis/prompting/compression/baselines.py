"""What every method must beat: the first words of a prompt, and words drawn at random."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

import numpy as np

from tamis.prompting.compression.base import Compressor, Job, whole_parts
from tamis.prompting.compression.ranking import Floats, Weighed
from tamis.prompting.compression.source import Source
from tamis.prompting.compression.surprise import Ids
from tamis.prompting.compression.units import word_edges

__all__ = ["RandomWords", "Truncate"]


@dataclass(kw_only=True, repr=False)
class Truncate(Compressor):
    """Keep the beginning. Costs nothing, and on news and articles is hard to beat."""

    name: ClassVar[str] = "truncate"

    def _weigh(self, job: Job) -> list[Weighed]:
        return [_of_words(source, lambda ends: -ends.astype(float)) for source in job.sources]


@dataclass(kw_only=True, repr=False)
class RandomWords(Compressor):
    """Keep words drawn at random.

    Parameters
    ----------
    seed : int
        Draws belong to the text and the seed: a prompt comes out the same in any batch.
    """

    name: ClassVar[str] = "random"
    seed: int = 0

    def _weigh(self, job: Job) -> list[Weighed]:
        return [self._drawn(source) for source in job.sources]

    def _drawn(self, source: Source) -> Weighed:
        text = blake2b(source.text.encode(), digest_size=8).digest()
        draws = np.random.default_rng([self.seed % 2**64, int.from_bytes(text)])
        return _of_words(source, lambda ends: draws.random(len(ends)))


def _of_words(source: Source, score: Callable[[Ids], Floats]) -> Weighed:
    """Return the words of a source with the scores that a function of their ends gives."""
    ends = word_edges(source.text, np.arange(1, len(source.text) + 1))
    spans = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)
    return Weighed(spans, score(ends), ends, **whole_parts(source))
