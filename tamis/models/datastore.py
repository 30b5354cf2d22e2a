"""LESS's gradient datastore: where Adam would go for each example, kept by content.

A LoRA is tuned on some rows of a pool. At the end of each epoch every example has a
gradient, from it and Adam's moments a direction, and the direction, projected and at length
1, lies in the feature store: by example, by what was tuned and how, and by epoch.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from tamis.data import formats
from tamis.data.features import FeatureStore, Shelf
from tamis.data.ids import example_ids
from tamis.kernels.distances import unit
from tamis.kernels.influence import adam_directions
from tamis.kernels.projection import project
from tamis.models.fingerprint import digest
from tamis.models.gradients import Checkpoint, adapted, example_gradients, warm_up
from tamis.models.passes import sequences
from tamis.models.transformers import TransformersLM

__all__ = ["Datastore", "Plan"]

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

_ROWS = 4096  # of a shelf, read at a time
_NUMBERS = 2**24  # of gradients, computed at a time: 64 MB


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a LoRA is tuned and its gradients are kept; as `tamis.selectors.less.LESS` says."""

    epochs: int
    rank: int
    learning_rate: float | None
    dimensions: int
    reference: bool
    seed: int


class Datastore:
    """The directions of a pool's examples, at the end of each epoch of one tuning.

    Parameters
    ----------
    lm : TransformersLM
    pool : Dataset
    tuned_on : int64 array
        Rows of the pool that the LoRA is tuned on, in any order.
    plan : Plan

    Notes
    -----
    Kept are 2 · `dimensions` bytes an example and epoch, and 12 bytes an epoch and parameter
    of the LoRA. Rows are worked on in the order of their ids.
    """

    def __init__(self, lm: TransformersLM, pool: Dataset, tuned_on: Rows, plan: Plan) -> None:
        self.lm, self.pool, self.tuned_on, self.plan = lm, pool, tuned_on, plan
        self.ids = example_ids(pool)
        self._features = FeatureStore()
        self._key = digest(
            lm.fingerprint, np.sort(self.ids[tuned_on]).tobytes().hex(), asdict(plan)
        )

    @cached_property
    def checkpoints(self) -> list[Checkpoint]:
        """The LoRA after each epoch: tuned once, and kept."""
        plan, shelf = self.plan, self._features.open("less checkpoints", self._key)
        epochs = [digest(self._key, epoch) for epoch in range(plan.epochs)]
        marks = np.frombuffer(bytes.fromhex("".join(epochs)), "V16")
        if shelf.missing(marks).any():
            prompts, responses = _exchanges(self.pool, self.tuned_on)
            answered = [i for i, response in enumerate(responses) if response]
            made = warm_up(
                self.lm, [prompts[i] for i in answered], [responses[i] for i in answered],
                lora=plan.rank, epochs=plan.epochs, learning_rate=plan.learning_rate,
                seed=plan.seed,
            )  # fmt: skip
            shelf.put(marks, np.stack([_as_row(checkpoint) for checkpoint in made]))
        return [_of_row(row) for row in shelf.numbers(marks)]

    def cosines(self, epoch: int, wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the products of each example's direction with some vectors.

        Parameters
        ----------
        epoch : int
            From 0.
        wanted : float64 array of shape (m, d)

        Returns
        -------
        float64 array of shape (n, m)
            NaN for an example without a response, or whose direction is nowhere.
        """
        shelf, checkpoint = self._shelf("less directions", epoch), self.checkpoints[epoch]

        def directions(gradients: Floats) -> npt.NDArray[np.float16]:
            gone = adam_directions(
                gradients, checkpoint.first, checkpoint.second, checkpoint.steps,
                reference=self.plan.reference,
            )  # fmt: skip
            return np.asarray(unit(self._projected(gone)), np.float16)

        order = np.argsort(self.ids, kind="stable")
        self._fill(shelf, epoch, self.pool, order, directions)
        found = np.empty((len(order), len(wanted)))
        for start in range(0, len(order), _ROWS):
            some = order[start : start + _ROWS]
            found[some] = shelf.numbers(self.ids[some]).astype(np.float64) @ wanted.T
        return found

    def gradients(self, epoch: int, target: Dataset) -> Floats:
        """Return the projected gradient of each row of a target: float32 of shape (m, d).

        NaN for a row without a response.
        """
        shelf = self._shelf("less target gradients", epoch)
        self._fill(shelf, epoch, target, np.arange(len(target)), self._projected)
        return shelf.numbers(example_ids(target))

    def _fill(
        self,
        shelf: Shelf,
        epoch: int,
        pool: Dataset,
        order: Rows,
        made_of: Callable[[Floats], npt.NDArray[np.floating]],
    ) -> None:
        """Put what is made of each row's gradient where it is missing, in this order."""
        ids, values = example_ids(pool)[order], self.checkpoints[epoch].values
        if not shelf.missing(ids).any():
            return
        lm = adapted(self.lm, values, self.plan.rank)

        def compute(positions: Rows) -> npt.NDArray[np.floating]:
            prompts, responses = _exchanges(pool, order[positions])
            cut = sequences(lm, prompts, responses)
            there = np.flatnonzero(
                [bool(pieces and said) for pieces, said in zip(cut, responses, strict=True)]
            )
            gradients = np.full((len(positions), len(values)), np.nan, np.float32)
            for which, found in example_gradients(lm, [cut[i][0] for i in there]):
                gradients[there[which]] = found
            return made_of(gradients)

        together = max(1, min(256, _NUMBERS // len(values)))
        shelf.fill(ids, compute, batch_rows=together)

    def _shelf(self, feature: str, epoch: int) -> Shelf:
        return self._features.open(feature, digest(self._key, epoch))

    def _projected(self, vectors: Floats) -> Floats:
        plan = self.plan
        return project(vectors, plan.dimensions, plan.seed, dense=plan.reference)


def _exchanges(pool: Dataset, rows: Rows) -> tuple[list[str], list[str]]:
    """Return prompts and responses; plain text is a response to nothing."""
    said = formats.fields(pool.with_format("arrow")[rows])
    if formats.of(pool).name == "text":
        return [""] * len(rows), said.text.to_pylist()
    return said.prompt.to_pylist(), said.response.to_pylist()


def _as_row(checkpoint: Checkpoint) -> Floats:
    """Return a checkpoint as one vector; it lies in the store as an example's feature would."""
    facts = np.array([checkpoint.steps, checkpoint.rate], np.float32)
    return np.concatenate([checkpoint.values, checkpoint.first, checkpoint.second, facts])


def _of_row(row: Floats) -> Checkpoint:
    values, first, second = np.split(row[:-2], 3)
    return Checkpoint(values, first, second, int(row[-2]), float(row[-1]))
