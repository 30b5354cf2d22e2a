"""Two linear maps that bring a query and the demonstrations that help it together.

An embedder's vectors are mapped to rows · maps, and the similarity of a query and a
demonstration is the product of the two. The maps start where the similarity is the embedder's own
cosine of the prompts, and move from there by matrices of a low rank, so that little data
cannot bend them far.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from tamis.data.files import written_aside
from tamis.errors import DataError
from tamis.kernels.listwise import in_batch_loss, rank_loss

__all__ = ["Feedback", "Fitting", "Maps", "fit_maps"]

Floats = npt.NDArray[np.float64]

_TEMPERATURE = 0.05  # a cosine over this is the s of the losses


@dataclass(frozen=True, eq=False)
class Maps:
    """What was learnt.

    Attributes
    ----------
    query : float32 array of shape (d, d)
    shown : float32 array of shape (2 d, d)
        Of a demonstration's prompt and response, their vectors end to end.
    embedder : str
        Fingerprint of the embedder whose vectors they map.
    """

    query: npt.NDArray[np.float32]
    shown: npt.NDArray[np.float32]
    embedder: str

    def followed(self, share: float) -> "Maps":
        """Return the maps moved back to where they started, `share` of what was learnt kept."""
        start = np.eye(*self.query.shape), np.eye(*self.shown.shape)
        query, shown = (
            ((1 - share) * at + share * to).astype(np.float32)
            for at, to in zip(start, (self.query, self.shown), strict=True)
        )
        return Maps(query, shown, self.embedder)

    def save(self, path: str | Path) -> None:
        """Write the arrays and the fingerprint as .npz, without pickle."""
        about = json.dumps({"embedder": self.embedder})
        with written_aside(Path(path)) as part, part.open("wb") as file:
            np.savez(file, query=self.query, shown=self.shown, about=np.array(about))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is no such thing.
        """
        try:
            with np.load(Path(path), allow_pickle=False) as held:
                about = json.loads(str(held["about"]))
                return cls(held["query"], held["shown"], str(about["embedder"]))
        except (OSError, KeyError, ValueError) as error:
            raise DataError(
                f"{path}: no maps of a retriever ({error}); give a file that UDR.save wrote"
            ) from error


@dataclass(frozen=True, eq=False)
class Feedback:
    """What a language model made of candidates.

    Attributes
    ----------
    queries : float64 array of shape (q, d)
    shown : float64 array of shape (q, m, 2 d)
        Candidates of each query, those that helped most first.
    gains : float64 array of shape (q, m)
        How much each helped: the larger, the more.
    group : int64 array of shape (q,)
        Queries of one group (a task) make a batch.
    """

    queries: Floats
    shown: Floats
    gains: Floats
    group: npt.NDArray[np.int64]

    def of(self, rows: npt.NDArray[np.bool_]) -> "Feedback":
        """Return that of some queries."""
        return Feedback(self.queries[rows], self.shown[rows], self.gains[rows], self.group[rows])


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How maps are learnt.

    Attributes
    ----------
    top, middle, bottom : int
        A list has so many of a query's candidates, drawn anew each time from the best
        fifth, from between, and from the worst fifth.
    rank_weight : float
        λ of λ L_rank + (1 − λ) L_batch.
    rank : int
        Of the matrices that are added to where the maps start.
    """

    top: int = 2
    middle: int = 5
    bottom: int = 1
    rank_weight: float = 0.8
    rank: int = 8
    epochs: int = 30
    batch: int = 32
    learning_rate: float = 3e-3
    reference: bool = False
    seed: int = 0


def fit_maps(feedback: Feedback, how: Fitting, embedder: str) -> Maps:
    """Learn maps from a language model's rankings.

    Whether they serve other queries is not looked at here: `UDR` asks the model.
    """
    rng = np.random.default_rng(how.seed)
    weights = _Weights(feedback.queries.shape[1], how.rank, rng)
    rows = np.arange(len(feedback.queries))
    for _ in range(how.epochs):
        lists = _lists(feedback, rows, how, rng)
        for some in _batches(feedback.group, how.batch, rng):
            _, gradients = _losses(weights, feedback, some, lists[some], how)
            weights.move(gradients, how.learning_rate)
    query, shown = (part.astype(np.float32) for part in weights.maps())
    return Maps(query, shown, embedder)


class _Weights:
    """What is added to where the maps start: two products of thin matrices; Adam's moments.

    A query's vector x becomes x + x·A·B; a demonstration's, [p, r] end to end, p + [p, r]·C·D.
    B and D are nought at first.
    """

    def __init__(self, width: int, rank: int, rng: np.random.Generator) -> None:
        self.width = width
        self.thin: list[Floats] = []
        for rows in (width, 2 * width):
            left = rng.normal(size=(rows, rank)) / np.sqrt(rows)
            self.thin += [left, np.zeros((rank, width))]
        self._moments = [[np.zeros_like(part), np.zeros_like(part)] for part in self.thin]
        self._steps = 0

    def maps(self) -> tuple[Floats, Floats]:
        a, b, c, d = self.thin
        return np.eye(self.width) + a @ b, np.eye(2 * self.width, self.width) + c @ d

    def mapped(self, asked: Floats, shown: Floats) -> tuple[Floats, Floats]:
        """Return the vectors times the maps, which are never written out."""
        a, b, c, d = self.thin
        return asked + asked @ a @ b, shown[:, : self.width] + shown @ c @ d

    def gradients(
        self, asked: Floats, shown: Floats, of_asked: Floats, of_shown: Floats
    ) -> list[Floats]:
        """Return the loss's gradient by A, B, C, D from that by the mapped vectors."""
        a, b, c, d = self.thin
        return [
            asked.T @ (of_asked @ b.T), (asked @ a).T @ of_asked,
            shown.T @ (of_shown @ d.T), (shown @ c).T @ of_shown,
        ]  # fmt: skip

    def move(self, gradients: list[Floats], learning_rate: float) -> None:
        """Take a step of Adam."""
        self._steps += 1
        for part, gradient, (first, second) in zip(
            self.thin, gradients, self._moments, strict=True
        ):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            steady = np.sqrt(second / (1 - 0.999**self._steps)) + 1e-8
            part -= learning_rate * first / (1 - 0.9**self._steps) / steady


def _lists(
    feedback: Feedback, rows: npt.NDArray[np.int64], how: Fitting, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw the candidates of a list for each row, in the model's order: (rows, list)."""
    m = feedback.shown.shape[1]
    fifth = max(1, m // 5)
    parts = [
        (how.top, np.arange(fifth)),
        (how.middle, np.arange(fifth, m - fifth)),
        (how.bottom, np.arange(m - fifth, m)),
    ]

    def drawn() -> npt.NDArray[np.int64]:
        picks = [rng.permutation(among)[:count] for count, among in parts]
        return np.unique(np.concatenate(picks))

    return np.array([drawn() for _ in rows])


def _batches(
    group: npt.NDArray[np.int64], size: int, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Cut the rows into batches of one group each, in a random order."""
    batches = []
    for one in np.unique(group):
        rows = rng.permutation(np.flatnonzero(group == one))
        batches += [rows[at : at + size] for at in range(0, len(rows), size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def _losses(
    weights: _Weights,
    feedback: Feedback,
    rows: npt.NDArray[np.int64],
    lists: npt.NDArray[np.int64],
    how: Fitting,
) -> tuple[float, list[Floats]]:
    """Return the loss of a batch, a query's mean, and its gradients by A, B, C and D."""
    q, length = lists.shape
    asked = feedback.queries[rows]
    shown = feedback.shown[rows[:, None], lists].reshape(q * length, -1)
    at, there = weights.mapped(asked, shown)
    similarity = at @ there.T / _TEMPERATURE
    own = (np.arange(q)[:, None], np.arange(q * length).reshape(q, length))
    gains = feedback.gains[rows[:, None], lists]
    ranked, pull = rank_loss(similarity[own], gains, reference=how.reference)
    batch, gradient = in_batch_loss(similarity, own[1][:, 0])
    share = 1.0 if how.reference else 1.0 / q  # the released code takes the mean itself
    gradient *= 1 - how.rank_weight
    gradient[own] += how.rank_weight * share * pull
    gradient /= _TEMPERATURE
    loss = how.rank_weight * share * ranked + (1 - how.rank_weight) * batch
    return loss, weights.gradients(asked, shown, gradient @ there, gradient.T @ at)
