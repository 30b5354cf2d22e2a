"""EPR and UDR: retrievers that learn from a language model which demonstrations help."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

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

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_ROWS_TOGETHER = 256
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of what was learnt, that `trust` is chosen among
_PARTS = 5  # of the queries: each tries what was learnt from the others
_SHOTS = 3  # demonstrations in a trial


@dataclass(kw_only=True)
class UDR(KNN):
    """Show the examples that a learnt similarity puts nearest to the query.

    For some queries of the pool a language model says how likely each of many candidates
    makes the true answer. Two linear maps of the embedder's vectors, one for queries and one
    for demonstrations (prompt and response), learn to rank candidates as the model does, from
    lists; the next round's candidates are what they then find. Last, the model is asked how
    far to follow the maps: where what they find does not help queries that they did not learn
    from, the ranking is that of `KNN`.

    Parameters
    ----------
    lm : LanguageModel or str
        Gives the feedback: `rounds` × `training` × `mined` scorings, and 5 × `training` to
        choose `trust`. They are kept in the feature store.
    maps : path, optional
        Maps that `save` wrote: `fit` then learns nothing, and the model is not asked.
    training : int
        Queries to learn from, drawn from the pool; those of a task t with a chance in
        proportion to √(size of t).
    mined : int
        Candidates of a query.
    first : {'nearest', 'prompts', 'responses'}
        Which are those of the first round: the nearest, as `KNN` has them, or those whose
        prompts (or responses) BM25 finds most like the query's, and the nearest where these
        are too few.
    rounds : int
    trust : float, optional
        How far the maps are followed, from 0, where they started, to 1, as they were learnt.
        By default that of 0, ¼, ½, ¾ and 1 which makes the true responses likeliest after 3
        demonstrations, by more than twice the error of its mean, where the maps did not learn.
    unseen : {'queries', 'tasks'}
        What the maps will meet, and so what is left out of the learning to choose `trust`:
        other queries, where they are used in this pool; or other tasks, queries and
        demonstrations alike, where they are saved for another pool.
    rank_weight : float
        λ of λ L_rank + (1 − λ) L_batch.
    labels : sequence of str, optional
        Of a classification: a candidate counts by the true label's share of the
        likelihood of all.
    task : str, optional
        The column that says which task a row is of: a batch is then of one task. Candidates
        are of any, as what is shown is.
    seed : int
        Of the draws.
    reference : bool
        Weigh pairs as the released code does.

    Attributes
    ----------
    maps_ : Maps
    trust_ : float
        How far they are followed; not there where `maps` were given.

    See Also
    --------
    KNN : what this is before it has learnt.
    EPR : learns from one good and one bad candidate instead of lists.

    References
    ----------
    Li et al., arXiv 2305.04320. The paper trains two encoders and follows them wholly
    (`trust=1`); maps of a fixed one's vectors are learnt from a few hundred queries, in
    seconds. The paper begins with BM25's candidates (`first="prompts"`), and looks for
    demonstrations in the query's own task alone (fit a pool for each).
    """

    name: ClassVar[str] = "udr"
    lm: LanguageModel | str = "bundled"
    maps: str | Path | None = None
    training: int = 512
    mined: int = 50
    first: Literal["nearest", "prompts", "responses"] = "nearest"
    rounds: int = 3
    trust: float | None = None
    unseen: Literal["queries", "tasks"] = "queries"
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
        if self.trust is not None and not 0 <= self.trust <= 1:
            raise SettingError(f"{type(self).__name__}: trust={self.trust}; give 0 to 1, or None")
        if self.unseen == "tasks" and self.task is None:
            raise SettingError(
                f"{type(self).__name__}: unseen='tasks', but no task; give the column, task="
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
        self.maps_ = self._given() or self._trained(self._lesson(stock, asked, shown))
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

    def _lesson(self, stock: Stock, asked: Floats, shown: Floats) -> "_Lesson":
        some = stock.part(self.places_)
        tasks = self._tasks(some)
        return _Lesson(some, asked, shown, tasks, self._drawn(some.ids, tasks))

    def _trained(self, lesson: "_Lesson") -> Maps:
        learnt, feedback, maps = self._mined(lesson)
        self.trust_ = self._tried(lesson, learnt, feedback) if self.trust is None else self.trust
        return maps.followed(self.trust_)

    def _mined(self, lesson: "_Lesson") -> tuple[Places, Feedback, Maps]:
        """Learn in rounds; return the queries, what was heard about each, and the maps."""
        fingerprint = embedder_of(self.embedder).fingerprint
        found = self._first(lesson)
        learnt: list[Places] = []
        heard: list[Feedback] = []
        for round_number in range(self.rounds):
            lists = self._ordered(lesson, found)
            if lists is None:
                break
            rows, ranking, gains = lists
            learnt.append(rows)
            heard.append(
                Feedback(lesson.asked[rows], lesson.shown[ranking], gains, lesson.tasks[rows])
            )
            how = replace(self._fitting(), seed=self.seed + round_number)
            maps = fit_maps(_joined(heard), how, fingerprint)
            found = lesson.nearest(lesson.rows, self.mined, maps)
        if not heard:
            raise DataError(
                f"{type(self).__name__}: no query has {self._list_length()} candidates to learn "
                "from; give a larger pool"
            )
        return np.concatenate(learnt), _joined(heard), maps

    def _tried(self, lesson: "_Lesson", learnt: Places, feedback: Feedback) -> float:
        """Return the share of what is learnt that helps most where it was not learnt.

        The pool is parted, by tasks or at random. Queries of each part are shown what maps
        find that learnt from the other parts, at every share, and the model says how likely
        that makes the true responses.
        """
        by_task = self.unseen == "tasks"
        part = lesson.parts(self.seed, by_task=by_task)
        gains = np.full((len(_SHARES), len(lesson.rows)), np.nan)
        for one in np.unique(part):
            left_out = part[lesson.rows] == one
            rows = lesson.rows[left_out]
            among = part == one if by_task else part >= 0
            maps = fit_maps(feedback.of(part[learnt] != one), self._fitting(), "")
            for tried, share in zip(gains, _SHARES, strict=True):
                shots = lesson.nearest(rows, _SHOTS, maps.followed(share), among)
                tried[left_out] = self._gains(lesson, rows, shots)
        tasks = lesson.tasks[lesson.rows]
        stands_for = np.sqrt(np.bincount(lesson.tasks)[tasks])  # small tasks were drawn more often
        alike = tasks if by_task else np.arange(len(tasks))
        return _SHARES[_surest(gains, stands_for, alike)]

    def _fitting(self) -> Fitting:
        return Fitting(rank_weight=self.rank_weight, reference=self.reference, seed=self.seed)

    def _list_length(self) -> int:
        how = self._fitting()
        return how.top + how.middle + how.bottom

    def _tasks(self, stock: Stock) -> Places:
        """Return the number of each example's task: int64 of shape (examples,)."""
        if self.task is None:
            return np.zeros(len(stock), np.int64)
        if self.task not in stock.pool.column_names:
            raise DataError(
                f"{type(self).__name__}: no column '{self.task}' in the pool; say task= of another"
            )
        rows = stock.pool.with_format("arrow")[stock.rows]
        column = formats.texts(rows[self.task], self.task)
        _, numbers = np.unique(np.array(column.to_pylist()), return_inverse=True)
        return numbers.astype(np.int64)

    def _drawn(self, ids: npt.NDArray[np.void], tasks: Places) -> Places:
        """Draw the queries to learn from: a task's weight is the root of its size."""
        weight = np.bincount(tasks)[tasks] ** -0.5
        keys = np.log(uniforms(ids, self.seed)) / weight  # Efraimidis and Spirakis, 2006
        return np.sort(np.argsort(-keys, kind="stable")[: self.training])

    def _first(self, lesson: "_Lesson") -> list[Places]:
        """Return the candidates of the first round, for which no maps are needed."""
        near = lesson.nearest(lesson.rows, self.mined)
        if self.first == "nearest":
            return near
        examples = [lesson.stock.examples[row] for row in lesson.rows]
        part: Literal["prompt", "response"] = "prompt" if self.first == "prompts" else "response"
        texts = [getattr(example, part) for example in examples]
        finder = BM25(part=part)
        finder.stock_ = lesson.stock
        finder._learn(lesson.stock)
        ranked = finder._ranked(texts, self.mined + lesson.copies())
        return [
            np.array([*dict.fromkeys([*lesson.others(row, places), *more])])[: self.mined]
            for row, (places, _), more in zip(lesson.rows, ranked, near, strict=True)
        ]

    def _ordered(
        self, lesson: "_Lesson", found: list[Places]
    ) -> tuple[Places, Places, Floats] | None:
        """Ask the model; return queries, their candidates, best first, and what these gained.

        Queries that have too few candidates are left out.
        """
        width = int(np.median([len(places) for places in found]))
        if width < self._list_length():
            return None
        able = [i for i, places in enumerate(found) if len(places) >= width]
        rows, ranking = lesson.rows[able], np.array([found[i][:width] for i in able])
        gains = self._gains(lesson, np.repeat(rows, width), ranking.reshape(-1, 1))
        gains = np.nan_to_num(gains, nan=-np.inf).reshape(ranking.shape)
        order = np.argsort(-gains, axis=1, kind="stable")
        ranking = np.take_along_axis(ranking, order, axis=1)
        return rows, ranking, np.take_along_axis(gains, order, axis=1)

    def _gains(
        self, lesson: "_Lesson", rows: Places, shots: Sequence[Places] | npt.NDArray[np.int64]
    ) -> Floats:
        """Return how likely each query's shots, best first, make its true response: (queries,).

        The mean log-probability of a token, or the true label's share.
        """
        examples = lesson.stock.examples
        turn = -1 if self.best == "last" else 1
        prompts = [
            self.template.render([examples[i] for i in places[::turn]], examples[row].prompt)
            for row, places in zip(rows, shots, strict=True)
        ]
        truth = [examples[row].response for row in rows]
        lm = lm_of(self.lm)
        if self.labels is None:
            return log_likelihoods(lm, prompts, truth, self.template, mean=True)
        known = list(self.labels)
        odd = next((said for said in truth if said not in known), None)
        if odd is not None:
            raise SettingError(
                f"{type(self).__name__}: the response {odd!r} is none of labels={known}"
            )
        shares = distributions(label_losses(lm, prompts, known, self.template))
        gains: Floats = shares[np.arange(len(truth)), [known.index(said) for said in truth]]
        return gains


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
    first: Literal["nearest", "prompts", "responses"] = "responses"
    rounds: int = 1
    rank_weight: float = 0.0

    def _fitting(self) -> Fitting:
        return replace(super()._fitting(), top=1, middle=0, bottom=1)


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What is learnt from.

    Attributes
    ----------
    stock : Stock
        The n examples that have vectors; places are among these.
    asked : float64 array of shape (n, d)
    shown : float64 array of shape (n, 2 d)
    tasks : int64 array of shape (n,)
    rows : int64 array
        Places of the queries.
    """

    stock: Stock
    asked: Floats
    shown: Floats
    tasks: Places
    rows: Places

    def copies(self) -> int:
        """Return how many examples have the prompt of a query, at most."""
        return self.stock.copies([self.stock.examples[row].prompt for row in self.rows])

    def others(self, row: int, places: Places) -> Places:
        """Leave out what has the query's own prompt."""
        examples = self.stock.examples
        return places[[examples[i].prompt != examples[row].prompt for i in places]]

    def nearest(
        self,
        rows: Places,
        n: int,
        maps: Maps | None = None,
        among: npt.NDArray[np.bool_] | None = None,
    ) -> list[Places]:
        """Return the `n` others nearest to each query, best first: by maps, or by prompts."""
        places = np.arange(len(self.asked)) if among is None else np.flatnonzero(among)
        asked, points = self.asked[rows], self.asked[places]
        if maps is not None:
            asked, points = asked @ maps.query, self.shown[places] @ maps.shown
        ranked = _nearest(
            asked.astype(np.float32), points.astype(np.float32), places, n + self.copies()
        )
        return [self.others(row, found)[:n] for row, (found, _) in zip(rows, ranked, strict=True)]

    def parts(self, seed: int, *, by_task: bool) -> Places:
        """Return the part of each example, 0 to 4; by task, all of a task are in one part."""
        group = self.tasks if by_task else np.arange(len(self.tasks))
        part: Places = np.random.default_rng(seed).permutation(group.max() + 1)[group] % _PARTS
        return part


def _surest(gains: Floats, weight: Floats, group: Places) -> int:
    """Return which row is best by what it adds to the first, less twice that mean's error.

    What a group (a task) gains is one draw, however many of its queries were asked: the
    error is that of groups.

    Parameters
    ----------
    gains : float64 array of shape (rows, n)
    weight : float64 array of shape (n,)
    group : int64 array of shape (n,)

    Examples
    --------
    >>> gains = np.array([[1.0, 2, 3], [1.2, 2.2, 3.2], [0.0, 9, 0]])
    >>> _surest(gains, np.ones(3), np.arange(3))
    1
    """
    known = np.isfinite(gains).all(axis=0)
    if not known.any():
        return 0
    added, share = gains[:, known] - gains[0, known], weight[known] / weight[known].sum()
    mean = added @ share
    apart = (added - mean[:, None]) * share
    error = np.sqrt(sum(apart[:, group[known] == one].sum(axis=1) ** 2 for one in np.unique(group)))
    return int((mean - 2 * error).argmax())


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


def _joined(rounds: list[Feedback]) -> Feedback:
    """Return all rounds' feedback as one, cut to the shortest lists."""
    m = min(one.shown.shape[1] for one in rounds)
    return Feedback(
        np.concatenate([one.queries for one in rounds]),
        np.concatenate([one.shown[:, :m] for one in rounds]),
        np.concatenate([one.gains[:, :m] for one in rounds]),
        np.concatenate([one.group for one in rounds]),
    )
