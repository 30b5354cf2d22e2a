"""Latent concepts: the demonstrations from which a small model best infers what a task is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tamis.data import formats
from tamis.errors import DataError, SettingError
from tamis.kernels.draws import uniforms
from tamis.kernels.highest import highest
from tamis.models.base import LanguageModel
from tamis.models.losses import lm_of
from tamis.prompting.demonstrations.base import Queries, Ranked, Retriever, Stock
from tamis.prompting.demonstrations.shots import Shots

__all__ = ["LatentConcept"]


@dataclass(kw_only=True)
class LatentConcept(Retriever):
    """Show the examples from which a model best tells which task they are of.

    Each task gets new tokens, whose embeddings are learnt so that the model answers well
    after them; the model itself stays as it is. An example's score is then how likely the model,
    having read it, makes its task's tokens. One choice serves all queries of a task.

    Parameters
    ----------
    lm : LanguageModel or str
        Of the transformers backend: embeddings are learnt.
    task : str, optional
        The column that says which task a row is of. Without it all are of one, and scores
        are not calibrated.
    tokens : int
        New tokens a task.
    steps : int
        Batches learnt from. The paper takes 10,000.
    batch : int
        Examples a batch, of all tasks.
    learning_rate : float
    considered : int
        Examples of a task that are scored, drawn at random.
    temperature : float
        Of the calibration: a score is p(task | example) ∝ exp(ℓ / temperature) over all tasks.
    seed : int
        Of the draws.

    Attributes
    ----------
    concepts_ : ConceptTokens
        The embeddings learnt.

    See Also
    --------
    KNN : chooses for each query.

    References
    ----------
    Wang et al., arXiv 2301.11916.
    """

    name: ClassVar[str] = "latent-concept"
    lm: LanguageModel | str = "bundled"
    task: str | None = None
    tokens: int = 10
    steps: int = 500
    batch: int = 16
    learning_rate: float = 1e-2
    considered: int = 100
    temperature: float = 50.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.tokens, self.steps, self.batch, self.considered) < 1:
            raise SettingError(
                f"LatentConcept: tokens={self.tokens}, steps={self.steps}, batch={self.batch}, "
                f"considered={self.considered}; give 1 or more of each"
            )

    def retrieve(
        self,
        queries: Queries,
        k: int = 8,
        *,
        task: str | None = None,
        max_tokens: int | None = None,
        tokenizer: Any = "bundled",  # noqa: ANN401 - a model, or its words
    ) -> list[Shots]:
        """Return the examples to show before each query; as `Retriever.retrieve`.

        Parameters
        ----------
        task : str, optional
            Which task the queries are of; needed where the pool has several.
        """
        self._current = self._named(task)
        return super().retrieve(queries, k, max_tokens=max_tokens, tokenizer=tokenizer)

    def _named(self, task: str | None) -> int:
        known = list(getattr(self, "tasks_", [""]))
        if task is None and len(known) == 1:
            return 0
        if task not in known:
            raise SettingError(f"LatentConcept: task={task!r}; give one of: {', '.join(known)}")
        return known.index(task)

    def _learn(self, stock: Stock) -> None:
        from tamis.prompting.demonstrations.concept_tokens import ConceptTokens

        names = self._tasks(stock)
        self.tasks_, tasks = np.unique(names, return_inverse=True)
        lm = lm_of(self.lm)
        self.concepts_ = ConceptTokens.of(lm, len(self.tasks_), self.tokens)
        texts = [
            (self.template.render([], prompt), self.template.continuation(response))
            for prompt, response in stock.examples
        ]
        self.concepts_.train(
            texts, tasks, steps=self.steps, batch=self.batch,
            learning_rate=self.learning_rate, seed=self.seed,
        )  # fmt: skip
        self.ranked_ = [
            self._best(texts, tasks, task, stock.ids) for task in range(len(self.tasks_))
        ]

    def _tasks(self, stock: Stock) -> npt.NDArray[np.str_]:
        if self.task is None:
            return np.full(len(stock), "")
        if self.task not in stock.pool.column_names:
            raise DataError(
                f"LatentConcept: no column '{self.task}' in the pool; say task= of another"
            )
        column = stock.pool.with_format("arrow")[stock.rows][self.task]
        return np.array(formats.texts(column, self.task).to_pylist())

    def _best(
        self,
        texts: list[tuple[Any, str]],
        tasks: npt.NDArray[np.int64],
        task: int,
        ids: npt.NDArray[np.void],
    ) -> Ranked:
        """Return a task's examples by how well the model infers the task from each."""
        own = np.flatnonzero(tasks == task)
        drawn = own[highest(uniforms(ids[own], self.seed), self.considered)]
        drawn.sort()
        told = self.concepts_.told([texts[i] for i in drawn])
        scores = told[:, task]
        if len(self.tasks_) > 1:
            share = np.exp((told - told.max(axis=1, keepdims=True)) / self.temperature)
            scores = share[:, task] / share.sum(axis=1)
        best = highest(scores, len(drawn))
        return drawn[best], scores[best]

    def _ranked(self, queries: Sequence[str], n: int) -> list[Ranked]:
        places, scores = self.ranked_[self._current]
        return [(places[:n], scores[:n])] * len(queries)
