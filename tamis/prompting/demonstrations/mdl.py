"""Self-adaptive demonstrations: for each query those under which its label compresses best."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tamis.errors import SettingError
from tamis.models.base import LanguageModel
from tamis.models.fingerprint import seed_of
from tamis.models.losses import lm_of
from tamis.prompting.demonstrations.base import Ranked, Retriever, Stock
from tamis.prompting.demonstrations.budget import Room
from tamis.prompting.demonstrations.feedback import (
    distributions,
    entropy,
    label_losses,
    labels_of,
)
from tamis.prompting.demonstrations.knn import KNN
from tamis.prompting.demonstrations.shots import Shots

__all__ = ["MDL"]


@dataclass(kw_only=True)
class MDL(Retriever):
    """Show the demonstrations, in the order, that leave a model least in doubt of the label.

    Of what `candidates` finds for a query, `windows` draws of `k` in a random order are put to
    the model. The one with the shortest expected code for the label, E[−ln p(y)] under the
    model's own p, which is the entropy of its prediction, is taken; no gold label is needed.

    Parameters
    ----------
    lm : LanguageModel or str
    labels : sequence of str, optional
        What an answer can be. By default the pool's different responses, up to 32.
    candidates : Retriever
        Finds what is drawn from; `KNN(diversity=0.1)` is the authors' other way.
    pool_size : int
        How many it finds.
    windows : int
        Draws a query.
    force_topk : bool
        Put in what `candidates` finds first, in its own order, for the last draw.
    seed : int
        A draw belongs to the query and the seed.

    Notes
    -----
    `windows` × labels scorings a query, all queries' in one call.

    See Also
    --------
    order : chooses an order that serves all queries of a task.

    References
    ----------
    Wu et al., arXiv 2212.10375.
    """

    name: ClassVar[str] = "mdl"
    lm: LanguageModel | str = "bundled"
    labels: Sequence[str] | None = None
    candidates: Retriever = field(default_factory=KNN)
    pool_size: int = 30
    windows: int = 10
    force_topk: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.windows < 1 or self.pool_size < 1:
            raise SettingError(
                f"MDL: windows={self.windows}, pool_size={self.pool_size}; give 1 or more of each"
            )

    def _learn(self, stock: Stock) -> None:
        self.labels_ = list(self.labels or labels_of(stock, "MDL"))
        self.candidates_ = copy(self.candidates)
        self.candidates_.stock_ = stock
        self.candidates_._learn(stock)

    def _ranked(self, queries: Sequence[str], n: int) -> list[Ranked]:
        return self.candidates_._ranked(queries, n)

    def _retrieved(self, queries: Sequence[str], k: int, room: Room | None) -> list[Shots]:
        found = self.candidates_._retrieved(queries, max(k, self.pool_size), None)
        drawn = [
            self._windows(query, shots, k, room)
            for query, shots in zip(queries, found, strict=True)
        ]
        prompts = [
            shots.prompt(query, self.template)
            for query, windows in zip(queries, drawn, strict=True)
            for shots in windows
        ]
        losses = label_losses(lm_of(self.lm), prompts, self.labels_, self.template)
        lengths = iter(entropy(distributions(losses)))
        return [_shortest(windows, [next(lengths) for _ in windows]) for windows in drawn]

    def _windows(self, query: str, found: Shots, k: int, room: Room | None) -> list[Shots]:
        """Return the organisations to try, each as it will stand in the prompt."""
        rng = np.random.default_rng(seed_of(self.seed, query))
        size = min(k, len(found))
        drawn = [rng.permutation(len(found))[:size] for _ in range(self.windows)]
        if self.force_topk:
            last = self.candidates.best == "last"
            drawn[-1] = np.arange(len(found))[-size if last else 0 : None if last else size]
        if room:
            drawn = [places[_fitting(room, query, found, places)] for places in drawn]
        return [found.taken(places) for places in drawn]


def _fitting(room: Room, query: str, found: Shots, places: np.ndarray) -> list[int]:
    """Return which of a draw's places fit the budget, in its order."""
    straight = Room(room.tokens, room.count, room.template, best_last=False)
    return straight.fitting(query, [found.examples[i] for i in places], len(places))


def _shortest(windows: list[Shots], lengths: list[float]) -> Shots:
    """Return the first of the shortest; one whose length is unknown only where all are."""
    known = np.array(lengths)
    return windows[int(np.where(np.isnan(known), np.inf, known).argmin())]
