"""EPR and UDR: retrievers that learn from a language model which demonstrations help."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tamis.data import formats
from tamis.errors import DataError, SettingError
from tamis.kernels.draws import uniforms
from tamis.kernels.highest import highest
from tamis.models.base import LanguageModel
from tamis.models.embeddings import embedder_of
from tamis.models.losses import lm_of
from tamis.prompting.demonstrations.base import Ranked, Stock
from tamis.prompting.demonstrations.bm25 import BM25
from tamis.prompting.demonstrations.feedback import distributions, label_losses, log_likelihoods
from tamis.prompting.demonstrations.knn import KNN
from tamis.prompting.demonstrations.maps import Feedback, Fitting, Maps, fit_maps

__all__ = ["EPR", "UDR"]

_ROWS_TOGETHER = 256


@dataclass(kw_only=True)
class UDR(KNN):
    """Show the examples that a learnt similarity puts nearest to the query.

    For some queries of the pool a language model says how likely each of many candidates
    makes the true answer. Two linear maps of the embedder's vectors, one for queries and one
    for demonstrations (prompt and response), learn to rank candidates as the model does, from
    lists; the next round's candidates are what they then find.

    Parameters
    ----------
    lm : LanguageModel or str
        Gives the feedback: `rounds` × `training` × `mined` scorings. They are kept in the
        feature store.
    maps : path, optional
        Maps that `save` wrote: `fit` then learns nothing, and the model is not asked.
    training : int
        Queries to learn from, drawn from the pool; those of a task t with a chance in
        proportion to √(size of t).
    mined : int
        Candidates of a query; BM25's in the first round, and the nearest by cosine where
        those are too few.
    rounds : int
    rank_weight : float
        λ of λ L_rank + (1 − λ) L_batch.
    labels : sequence of str, optional
        Of a classification: a candidate counts by the true label's share of the
        likelihood of all.
    task : str, optional
        The column that says which task a row is of: a batch is then of one task.
    seed : int
        Of the draws.
    reference : bool
        Weigh pairs as the released code does.

    Attributes
    ----------
    maps_ : Maps

    See Also
    --------
    KNN : what this is before it has learnt.
    EPR : learns from one good and one bad candidate instead of lists.

    References
    ----------
    Li et al., arXiv 2305.04320. The paper trains two encoders; maps of a fixed one's
    vectors are learnt from a few hundred queries, in seconds.
    """

    name: ClassVar[str] = "udr"
    lm: LanguageModel | str = "bundled"
    maps: str | Path | None = None
    training: int = 512
    mined: int = 50
    rounds: int = 3
    rank_weight: float = 0.8
    labels: Sequence[str] | None = None
    task: str | None = None
    seed: int = 0
    reference: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.rank_weight <= 1:
            raise SettingError(
                f"{type(self).__name__}: rank_weight={self.rank_weight}; give 0 to 1"
            )
        if min(self.training, self.rounds) < 1 or self.mined < 2:
            raise SettingError(
                f"{type(self).__name__}: training={self.training}, rounds={self.rounds}, "
                f"mined={self.mined}; give at least 1, 1 and 2"
            )

    def save(self, path: str | Path) -> None:
        """Write what was learnt, for `UDR(maps=path)`: numpy arrays, no pickle.

        Raises
        ------
        SettingError
            If nothing was learnt yet.
        """
        if not hasattr(self, "maps_"):
            raise SettingError(f"{type(self).__name__}: nothing learnt yet; call fit(pool) first")
        self.maps_.save(path)

    def _learn(self, stock: Stock) -> None:
        embedder = embedder_of(self.embedder)
        prompts = embedder.embed([example.prompt for example in stock.examples])
        answers = embedder.embed([example.response for example in stock.examples])
        able = np.isfinite(prompts).all(axis=1)
        self.places_ = np.flatnonzero(able)
        if not len(self.places_):
            raise DataError(f"{type(self).__name__}: no example has a vector; give some with text")
        asked = prompts[able].astype(np.float64)
        shown = np.hstack([asked, np.nan_to_num(answers[able])])
        self.maps_ = self._given() or self._trained(stock, asked, shown)
        if self.maps_.query.shape[0] != asked.shape[1]:
            raise SettingError(
                f"{type(self).__name__}: maps={self.maps} are of {self.maps_.query.shape[0]} "
                f"dimensions, but the embedder has {asked.shape[1]}; give the embedder they "
                "were learnt with"
            )
        self.points_ = shown.astype(np.float32) @ self.maps_.shown

    def _given(self) -> Maps | None:
        if self.maps is None:
            return None
        maps = Maps.load(self.maps)
        if maps.embedder != embedder_of(self.embedder).fingerprint:
            raise SettingError(
                f"{type(self).__name__}: maps={self.maps} were learnt with another embedder; "
                "give that, or learn again"
            )
        return maps

    def _asked(self, queries: Sequence[str]) -> npt.NDArray[np.float32]:
        return embedder_of(self.embedder).embed(list(queries)) @ self.maps_.query

    def _ranked(self, queries: Sequence[str], n: int) -> list[Ranked]:
        n = max(n, self.candidates + self.stock_.copies(queries)) if self.diversity else n
        return _nearest(self._asked(queries), self.points_, self.places_, n)

    def _trained(
        self, stock: Stock, asked: npt.NDArray[np.float64], shown: npt.NDArray[np.float64]
    ) -> Maps:
        tasks = self._tasks(stock)
        rows = self._drawn(stock.ids[self.places_], tasks)
        fingerprint = embedder_of(self.embedder).fingerprint
        how = self._fitting()
        queries = [stock.examples[i].prompt for i in self.places_[rows]]
        points = asked.astype(np.float32)
        near = _nearest(points[rows], points, self.places_, 2 * self.mined + stock.copies(queries))
        found = [
            _first_then(one, other)
            for one, other in zip(self._first(stock, queries), near, strict=True)
        ]
        seen: list[Feedback] = []
        for round_number in range(self.rounds):
            lists = self._ordered(stock, rows, found, tasks)
            if lists is None:
                break
            learnt, ranking, gains = lists
            seen.append(Feedback(asked[learnt], shown[ranking], gains, tasks[learnt]))
            maps = fit_maps(_joined(seen), replace(how, seed=self.seed + round_number), fingerprint)
            points = (shown @ maps.shown).astype(np.float32)
            at = (asked[rows] @ maps.query).astype(np.float32)
            found = _nearest(at, points, self.places_, 2 * self.mined + stock.copies(queries))
        if not seen:
            raise DataError(
                f"{type(self).__name__}: no query has {self._list_length()} candidates to learn "
                "from; give a larger pool"
            )
        return maps

    def _fitting(self) -> Fitting:
        return Fitting(rank_weight=self.rank_weight, reference=self.reference, seed=self.seed)

    def _first(self, stock: Stock, queries: list[str]) -> list[Ranked]:
        """Return the candidates of the first round, from which no maps are needed."""
        return _bm25(stock, "prompt")._ranked(queries, 2 * self.mined + stock.copies(queries))

    def _list_length(self) -> int:
        how = self._fitting()
        return how.top + how.middle + how.bottom

    def _tasks(self, stock: Stock) -> npt.NDArray[np.int64]:
        """Return the number of each example's task: int64 of shape (places,)."""
        rows = stock.rows[self.places_]
        if self.task is None:
            return np.zeros(len(rows), np.int64)
        if self.task not in stock.pool.column_names:
            raise DataError(
                f"{type(self).__name__}: no column '{self.task}' in the pool; say task= of another"
            )
        column = formats.texts(stock.pool.with_format("arrow")[rows][self.task], self.task)
        _, numbers = np.unique(np.array(column.to_pylist()), return_inverse=True)
        return numbers.astype(np.int64)

    def _drawn(
        self, ids: npt.NDArray[np.void], tasks: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Draw the queries to learn from: a task's weight is the root of its size."""
        weight = np.bincount(tasks)[tasks] ** -0.5
        keys = np.log(uniforms(ids, self.seed)) / weight  # Efraimidis and Spirakis, 2006
        return np.sort(np.argsort(-keys, kind="stable")[: self.training])

    def _ordered(
        self,
        stock: Stock,
        rows: npt.NDArray[np.int64],
        found: list[Ranked],
        tasks: npt.NDArray[np.int64],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]] | None:
        """Ask the model; return queries, their candidates, best first, and what these gained.

        The first two as places among `places_`; candidates are of the query's own task, and
        queries that have too few are left out.
        """
        at = np.full(len(stock), -1)
        at[self.places_] = np.arange(len(self.places_))
        mined = []
        for row, (places, _) in zip(rows, found, strict=True):
            query = stock.examples[self.places_[row]].prompt
            own = at[places]
            own = own[own >= 0]
            own = own[tasks[own] == tasks[row]]
            mined.append(
                [i for i in own if stock.examples[self.places_[i]].prompt != query][: self.mined]
            )
        width = min(self.mined, int(np.median([len(some) for some in mined])))
        if width < self._list_length():
            return None
        able = [i for i, some in enumerate(mined) if len(some) >= width]
        ranking = np.array([mined[i][:width] for i in able])
        gains = self._gains(stock, rows[able], ranking)
        gains = np.nan_to_num(gains, nan=-np.inf)
        order = np.argsort(-gains, axis=1, kind="stable")
        ranking = np.take_along_axis(ranking, order, axis=1)
        return rows[able], ranking, np.take_along_axis(gains, order, axis=1)

    def _gains(
        self, stock: Stock, rows: npt.NDArray[np.int64], ranking: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """Return how likely each candidate makes its query's true response: (queries, m)."""
        examples = [stock.examples[i] for i in self.places_]
        pairs = [(row, i) for row, some in zip(rows, ranking, strict=True) for i in some]
        prompts = [self.template.render([examples[i]], examples[row].prompt) for row, i in pairs]
        truth = [examples[row].response for row, _ in pairs]
        lm = lm_of(self.lm)
        if self.labels is None:
            return log_likelihoods(lm, prompts, truth, self.template).reshape(ranking.shape)
        known = list(self.labels)
        odd = next((said for said in truth if said not in known), None)
        if odd is not None:
            raise SettingError(
                f"{type(self).__name__}: the response {odd!r} is none of labels={known}"
            )
        shares = distributions(label_losses(lm, prompts, known, self.template))
        gains = shares[np.arange(len(pairs)), [known.index(said) for said in truth]]
        return gains.reshape(ranking.shape)


@dataclass(kw_only=True)
class EPR(UDR):
    """Show what a learnt similarity puts nearest; learnt from pairs of a good and a bad candidate.

    Candidates are the examples whose responses BM25 finds most like the query's own; one of
    the best fifth and one of the worst are drawn, and the first is told from all others in
    the batch. Parameters are those of `UDR`; there is one round.

    References
    ----------
    Rubin et al., arXiv 2112.08633.
    """

    name: ClassVar[str] = "epr"
    rounds: int = 1
    rank_weight: float = 0.0

    def _fitting(self) -> Fitting:
        return replace(super()._fitting(), top=1, middle=0, bottom=1)

    def _first(self, stock: Stock, queries: list[str]) -> list[Ranked]:
        response = {prompt: said for prompt, said in stock.examples}
        answers = [response[query] for query in queries]
        n = 2 * self.mined + stock.copies(queries)
        return _bm25(stock, "response")._ranked(answers, n)


def _bm25(stock: Stock, part: str) -> BM25:
    finder = BM25(part=part)  # type: ignore[arg-type]
    finder.stock_ = stock
    finder._learn(stock)
    return finder


def _nearest(
    asked: npt.NDArray[np.float32],
    points: npt.NDArray[np.float32],
    places: npt.NDArray[np.int64],
    n: int,
) -> list[Ranked]:
    """Return the `n` points with the largest products for each query; none where it is NaN."""
    ranked: list[Ranked] = []
    for start in range(0, len(asked), _ROWS_TOGETHER):
        for row in asked[start : start + _ROWS_TOGETHER] @ points.T:
            top = highest(row, n)
            ranked.append((places[top], row[top].astype(np.float64)))
    return ranked


def _first_then(one: Ranked, other: Ranked) -> Ranked:
    """Return what one ranking has, then what the other adds."""
    places = np.array([*dict.fromkeys([*one[0].tolist(), *other[0].tolist()])], np.int64)
    return places, np.full(len(places), np.nan)


def _joined(rounds: list[Feedback]) -> Feedback:
    """Return all rounds' feedback as one, cut to the shortest lists."""
    m = min(one.shown.shape[1] for one in rounds)
    return Feedback(
        np.concatenate([one.queries for one in rounds]),
        np.concatenate([one.shown[:, :m] for one in rounds]),
        np.concatenate([one.gains[:, :m] for one in rounds]),
        np.concatenate([one.group for one in rounds]),
    )
