"""LLMLingua: keep the tokens that a small language model did not see coming.

    budget      τ_dems = (τ L − L_ins − L_que) / L_dems
    documents   in descending perplexity, while they have at most k τ_dems L_dems tokens
    tokens      in descending −log p(x_i | what stands before it)

Jiang et al., arXiv 2310.05736. Departures: the instruction and the question stay whole, as
in the released code (they are short, and a damaged question costs more than it saves); whole
words are kept or dropped, by the mean over their tokens, numbers by the sum (`units="token"`
is the paper's); and by default a token's surprise is given the *original* text before it, so
that the prompt goes through the model once, whatever the rate, and another rate costs nothing
when the model's answers are kept. With `segment` each segment is given the *compressed* text
before it, as the paper has it.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tamis.errors import SettingError
from tamis.prompting.compression.base import Compressor, Job, whole_parts
from tamis.prompting.compression.pick import Budget
from tamis.prompting.compression.ranking import Floats, Weighed
from tamis.prompting.compression.released import Released
from tamis.prompting.compression.result import Compressed
from tamis.prompting.compression.segments import InSegments
from tamis.prompting.compression.source import DOCUMENT, INSTRUCTION, QUESTION, Source
from tamis.prompting.compression.surprise import Ids, Surprise
from tamis.prompting.compression.units import Units, edges_of

__all__ = ["LLMLingua", "within_budget"]


@dataclass(kw_only=True, repr=False)
class LLMLingua(Compressor):
    """Keep the words that a small language model did not see coming.

    Parameters
    ----------
    units : 'word' or 'token'
        What is kept or dropped as a whole. Pieces of words save a little more, and are
        hard to read for models and people.
    coarse : float
        k: documents, where there are several, are taken until they have k times the
        budget. Infinity takes all.
    segment : int, optional
        Tokens a segment (the paper: 100). Each is read after the compressed text before
        it, and loses the same share of its tokens. Reads the compressed text again for
        each segment.
    reference : bool
        The released code's behaviour (llmlingua 0.2.2), token for token, whose segments
        have `segment` or 200 tokens: documents up to a budget of 100 more than the target,
        a token kept when the *next* one is surprising, thresholds over the whole prompt,
        the last segment kept nearly whole. Needs a `transformers:` model. Its budget is a
        wish: `target_tokens` can be exceeded.

    See Also
    --------
    LongLLMLingua : when there is a question, and documents that may not answer it.
    TokenClassifier : one pass of an encoder, several times quicker.
    SelectiveContext : sentence by sentence, whole phrases.

    References
    ----------
    Jiang et al., arXiv 2310.05736, algorithms 1 and 2.
    """

    name: ClassVar[str] = "llmlingua"
    units: Units = "word"
    coarse: float = 2.0
    segment: int | None = None
    reference: bool = False

    def __post_init__(self) -> None:
        if self.units not in ("word", "token"):
            raise SettingError(f"{self.name}: units={self.units!r}; give 'word' or 'token'")
        if self.segment is not None and self.segment < 2:
            raise SettingError(f"{self.name}: segment={self.segment}; give 2 or more tokens")

    def compress(self, job: Job) -> list[Compressed]:
        """Return each source compressed to its budget."""
        if not self.reference:
            return super().compress(job)
        return Released(iterative_size=self.segment or 200).compress(job, self.name)

    def _weigh(self, job: Job) -> list[Weighed]:
        if self.segment is not None:
            return InSegments(self.units, self.segment, job, self._chosen_alone(job)).weigh()
        read = job.meter.read([source.text for source in job.sources])
        return [
            Weighed(
                said.spans,
                said.losses,
                edges_of(source.text, said.spans, self.units),
                model_tokens=said.model_tokens,
                **whole_parts(source) | chosen_first(source, self._chosen(source, said, budget)),
            )
            for source, said, budget in zip(job.sources, read, job.budgets, strict=True)
        ]

    def _chosen(self, source: Source, said: Surprise, budget: Budget) -> list[int]:
        """Return the documents to keep, by their perplexity given those before them."""
        documents = source.of(DOCUMENT)
        inside = [said.within(source.parts[i].start, source.parts[i].end) for i in documents]
        lengths = np.array([int(mask.sum()) for mask in inside])
        means = np.array([_mean(said.losses[mask]) for mask in inside])
        rest = len(said.losses) - int(lengths.sum())
        left = budget.rate * len(said.losses) - rest
        return [documents[i] for i in within_budget(means, lengths, self.coarse * left)]

    def _chosen_alone(self, job: Job) -> list[list[int]]:
        """Return the documents of each source, by the perplexity of each by itself."""
        chosen = []
        for source, budget in zip(job.sources, job.budgets, strict=True):
            documents = source.of(DOCUMENT)
            if len(documents) > 1 and np.isfinite(self.coarse):
                alone = job.meter.read([source.words(i) for i in documents])
                lengths = np.array([len(said.losses) for said in alone])
                means = np.array([_mean(said.losses) for said in alone])
                rest = sum(
                    job.meter.count(source.words(i)) for i in source.of(INSTRUCTION)
                    + source.of(QUESTION)
                )  # fmt: skip
                left = budget.rate * (int(lengths.sum()) + rest) - rest
                kept = within_budget(means, lengths, self.coarse * left)
                documents = [documents[i] for i in kept]
            chosen.append(documents)
        return chosen


def within_budget(values: Floats, lengths: Ids, cap: float) -> list[int]:
    """Return the first of the documents, by descending value, that have `cap` tokens at most.

    At least one, ties by position, a value of NaN last.

    >>> within_budget(np.array([1.0, 3, 2]), np.array([10, 10, 10]), cap=20)
    [1, 2]
    """
    order = np.argsort(np.where(np.isnan(values), np.inf, -values), kind="stable")
    fits = np.cumsum(lengths[order]) <= cap
    fits[:1] = True
    return [int(i) for i in order[: int(np.argmin(np.append(fits, False)))]]


def chosen_first(source: Source, chosen: list[int]) -> dict[str, Any]:
    """Return the fields of a `Weighed` that keeps nothing else while the chosen are not whole."""
    return {
        "regions": np.array([(part.start, part.end) for part in source.parts], np.int64),
        "pools": np.array([int(i not in chosen) for i in range(len(source.parts))], np.int64),
        "shares": np.array([1.0, 0.0]),
    }


def _mean(losses: Floats) -> float:
    known = losses[~np.isnan(losses)]
    return float(known.mean()) if len(known) else float("nan")
