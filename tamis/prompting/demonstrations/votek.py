"""Vote-k: which examples to have labelled, so that few serve for all queries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from tamis.data import formats
from tamis.data.ids import example_ids
from tamis.data.load import Source, load
from tamis.errors import DataError, SettingError
from tamis.kernels.draws import uniforms
from tamis.kernels.votek import most_voted, neighbours_of, precedence, vote_k
from tamis.models.base import LanguageModel
from tamis.models.embeddings import points_by_id
from tamis.models.losses import lm_of
from tamis.prompting.demonstrations.base import Stock
from tamis.prompting.demonstrations.feedback import log_likelihoods
from tamis.prompting.demonstrations.knn import KNN

__all__ = ["VoteK"]

_FIRST = 0.1  # of the annotations, before the model is asked
_UNSURE = 0.9  # of the pool, the least confident, among which the others are taken
_SHOWN = 8
_LONGEST_GUESS = 64  # tokens

Annotate = Callable[[list[str]], list[str]]


@dataclass(kw_only=True)
class VoteK(KNN):
    """Choose which examples to annotate; then show the nearest of these alone.

    `choose` needs no responses: annotate the rows that it returns, and give them to `KNN`.
    `fit` does both on a pool that has responses, as if only those of the chosen were known.

    Parameters
    ----------
    annotations : int
        How many to choose; all, where the pool has no more.
    neighbours : int
        Each example votes for so many of its nearest. 150 is for pools of thousands: where it
        is a large part of the pool, the first few chosen have spoken for everyone, and the
        others cover it no better than a random draw. There, give about pool / annotations.
    rho : float
        What a vote loses with each of the voter's neighbours that is chosen already.
    lm : LanguageModel or str, optional
        With one, a tenth is chosen by votes; then the model answers all others with these as
        demonstrations, and the rest are the most voted of equal parts of the 90 % it is
        least sure of.
    labels : sequence of str, optional
        Of a classification: the model's confidence is then that in its best label, else that
        in an answer it writes.
    seed : int
        Of what fills the places that are left where parts are empty.
    reference : bool
        Do as the released code does: another order of ties, and votes that are not counted
        again after the model was asked.

    References
    ----------
    Su et al., arXiv 2209.01975.
    """

    name: ClassVar[str] = "vote-k"
    annotations: int = 100
    neighbours: int = 150
    rho: float = 10.0
    lm: LanguageModel | str | None = None
    labels: Sequence[str] | None = None
    seed: int = 0
    reference: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.annotations < 1 or self.neighbours < 1 or self.rho < 1:
            raise SettingError(
                f"VoteK: annotations={self.annotations}, neighbours={self.neighbours}, "
                f"rho={self.rho}; give 1 or more of each"
            )

    def choose(self, pool: Source, annotate: Annotate | None = None) -> npt.NDArray[np.int64]:
        """Return the rows to annotate, in the order chosen, each once.

        Parameters
        ----------
        pool : Dataset, or anything `tamis.load` takes
            Responses need not be there.
        annotate : function of a list of prompts, optional
            Answers the first tenth, where there is an `lm`. By default the pool's own
            responses do.

        Raises
        ------
        DataError
            If the answers of the first tenth are missing.
        """
        data = load(pool, progress=False)
        _, first = np.unique(example_ids(data), return_index=True)
        return self._chosen(data, first, annotate)

    def _learn(self, stock: Stock) -> None:
        super()._learn(stock)
        self.chosen_ = self._chosen(stock.pool, stock.rows, None)
        own = np.isin(stock.rows[self.places_], self.chosen_)
        self.places_, self.points_ = self.places_[own], self.points_[own]

    def _chosen(
        self, pool: Dataset, among: npt.NDArray[np.int64], annotate: Annotate | None
    ) -> npt.NDArray[np.int64]:
        rows, points = points_by_id(pool, self.embedder, among, part=self.part)
        count = min(self.annotations, len(rows))
        if len(rows) == 1:
            return rows
        graph = neighbours_of(points, self.neighbours)
        if self.lm is None:
            return rows[vote_k(graph, count, self.rho, reference=self.reference)]
        early = vote_k(graph, max(1, int(count * _FIRST)), self.rho, reference=self.reference)
        confidence = self._confidence(_prompts_and_responses(pool, rows), points, early, annotate)
        draws = uniforms(example_ids(pool)[rows], self.seed)
        return rows[self._late(graph, early, confidence, draws, count)]

    def _late(
        self,
        graph: npt.NDArray[np.int64],
        early: npt.NDArray[np.int64],
        confidence: npt.NDArray[np.float64],
        draws: npt.NDArray[np.float64],
        count: int,
    ) -> npt.NDArray[np.int64]:
        """Add to the early ones the most voted of each part of the unsure."""
        n = len(graph)
        chosen = np.isin(np.arange(n), early)
        heard = chosen.copy()
        unsure = np.argsort(np.where(np.isnan(confidence), -np.inf, confidence), kind="stable")
        unsure = unsure[~chosen[unsure]]
        parts = count - len(early)
        size = int(_UNSURE * n / parts) if parts else 0
        order = precedence(graph, reference=self.reference)
        picks = [*early.tolist()]
        for part in range(parts if size else 0):
            bucket = np.zeros(n, bool)
            bucket[unsure[part * size : (part + 1) * size]] = True
            if not bucket.any():
                break
            picks.append(most_voted(graph, heard, self.rho, order[bucket[order]]))
            chosen[picks[-1]] = True
            if not self.reference:
                heard[picks[-1]] = True
        left = np.flatnonzero(~chosen)
        fill = left[np.argsort(-draws[left], kind="stable")][: count - len(picks)]
        return np.array([*picks, *fill.tolist()], np.int64)

    def _confidence(
        self,
        texts: tuple[list[str], list[str]],
        points: npt.NDArray[np.float32],
        early: npt.NDArray[np.int64],
        annotate: Annotate | None,
    ) -> npt.NDArray[np.float64]:
        """Return how sure the model is of its answer to each, the early ones as demonstrations."""
        prompts, responses = texts
        known = [responses[i] for i in early]
        if annotate is not None:
            known = annotate([prompts[i] for i in early])
        if len(known) != len(early) or not all(known):
            raise DataError(
                f"VoteK: {len(early)} examples need an answer before the model is asked; give "
                "annotate=, a pool with responses, or no lm"
            )
        solved = [
            {"prompt": prompts[i], "response": said} for i, said in zip(early, known, strict=True)
        ]
        near = KNN(embedder=self.embedder, part="prompt", best=self.best, template=self.template)
        asked = near.fit(solved).prompts(prompts, _SHOWN)
        lm = lm_of(self.lm or "bundled")
        if self.labels:
            every = [
                log_likelihoods(lm, asked, [label] * len(asked), self.template, mean=True)
                for label in self.labels
            ]
            surest: npt.NDArray[np.float64] = np.max(every, axis=0)
            return surest
        said = lm.generate(asked, max_tokens=_LONGEST_GUESS, stop=self.template.stop)
        guesses = [generation.text.strip() for generation in said]
        return log_likelihoods(lm, asked, guesses, self.template, mean=True)


def _prompts_and_responses(
    pool: Dataset, rows: npt.NDArray[np.int64]
) -> tuple[list[str], list[str]]:
    table = pool.with_format("arrow")[rows]
    prompts, responses = formats.exchange(table)
    return prompts.to_pylist(), responses.to_pylist()
