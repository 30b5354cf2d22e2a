"""LESS: the examples whose gradients point where the target's do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data import formats
from tamis.data.ids import example_ids
from tamis.data.load import Source, load
from tamis.errors import DataError, SettingError
from tamis.kernels.draws import uniforms
from tamis.kernels.influence import task_directions
from tamis.models.base import LanguageModel
from tamis.selectors.base import Selector
from tamis.selectors.pickers import top_k
from tamis.selectors.selection import Selection, one_reason, say_kept

if TYPE_CHECKING:
    from tamis.models.datastore import Datastore

__all__ = ["LESS"]

_FEWEST = 128  # rows that the LoRA is tuned on, where the pool has as many


@dataclass(kw_only=True, repr=False)
class LESS(Selector):
    """Keep the examples on which a step of training would lower the target's loss most.

    A LoRA is tuned on a share of the pool. After each of its epochs every example has a
    gradient, and so a direction in which Adam would go for it; the example's influence on a
    task of the target is the cosine between that direction and the mean gradient of the
    task's examples. Over the epochs it is a mean, weighted by their learning rates. The score
    is the influence on the task that the example helps most. Without `k`, `share` of the pool
    is kept.

    Parameters
    ----------
    target : Dataset, or anything `tamis.load` takes, or several of them by task
        A few examples of each task that is wanted, with responses.
    task : str
        The column of a single target that tells tasks apart. Without it, it is one task.
    lm : LanguageModel or str
        'bundled', or a model that transformers runs: gradients are needed.
    share : float
        Of the pool, kept where no `k` is given.
    warm_up : float
        Share of the pool that the LoRA is tuned on, 128 examples at least.
    epochs : int
        Of the tuning.
    rank : int
        Of the LoRA. The paper's is 128, in layers of width 4096; the default is the same
        share of the bundled model's 256.
    learning_rate : float, optional
        Of the tuning, at its peak. The paper's is 2e-5; by default `tune` says.
    dimensions : int
        That gradients are projected to.
    reference : bool
        As the released code: no correction for the bias of Adam's moments, the mean of the
        cosines with a task's examples in place of the cosine with their mean gradient, and a
        projection by a dense matrix of signs.
    seed : int
        Of what the LoRA is tuned on and how it starts, and of the projection.

    Notes
    -----
    Signals: `influence`, the score; `task`, to which it belongs; and where there are several,
    the influence on each, `influence_TASK`.

    The paper's LoRA is on attention alone and has dropout; here it is on every linear layer,
    without. Of an example longer than the model's context the beginning counts.

    An example costs, each epoch, 4 operations a token and parameter of the model, a third less
    than training on it, in packs that share one backward pass. Projecting p numbers then
    takes p log p additions, 2 p · `dimensions` operations with `reference`. Directions are kept
    in the feature store, as float16: 64 KiB an example by default. They do not depend on the
    target; another target, or another k, costs the reading of them.

    See Also
    --------
    DSIR : goes by the target's words, and costs next to nothing.
    CrossTaskKNN : goes by the meaning of the target's prompts.

    References
    ----------
    Xia et al., arXiv 2402.04333. LoRA: Hu et al., arXiv 2106.09685.
    """

    name: ClassVar[str] = "less"
    needs_k: ClassVar[bool] = False
    target: Source | Mapping[str, Source]
    task: str = "task"
    lm: LanguageModel | str = "bundled"
    share: float = 0.05
    warm_up: float = 0.05
    epochs: int = 4
    rank: int = 8
    learning_rate: float | None = None
    dimensions: int = 8192
    reference: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for setting in ("share", "warm_up"):
            value = getattr(self, setting)
            if not 0 < value <= 1:
                raise SettingError(f"LESS: {setting}={value}; give one above 0, up to 1")
        for setting in ("epochs", "rank", "dimensions"):
            value = getattr(self, setting)
            if value < 1:
                raise SettingError(f"LESS: {setting}={value}; give at least 1")

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        tasks = _tasks(self.target, self.task)
        influence = self._influence(self._datastore(pool), tasks)
        scores = influence.max(axis=1)
        kept = max(1, int(self.share * len(pool))) if k is None else k
        indices = top_k(scores, example_ids(pool), kept)
        reasons = one_reason(len(pool), "influence below that of the kept")
        reasons[np.isnan(scores)] = "no response to learn from"
        say_kept(reasons, indices)
        return Selection(indices, scores, reasons, _signals(influence, scores, tasks.names))

    def _datastore(self, pool: Dataset) -> "Datastore":
        from tamis.models.datastore import Datastore, Plan
        from tamis.models.tuning import trainable

        lm = trainable(self.lm, "LESS")
        count = max(int(self.warm_up * len(pool)), min(_FEWEST, len(pool)))
        tuned_on = np.argsort(uniforms(example_ids(pool), self.seed))[:count]
        plan = Plan(
            epochs=self.epochs, rank=self.rank, learning_rate=self.learning_rate,
            dimensions=self.dimensions, reference=self.reference, seed=self.seed,
        )  # fmt: skip
        return Datastore(lm, pool, tuned_on, plan)

    def _influence(self, store: "Datastore", tasks: "_Tasks") -> npt.NDArray[np.float64]:
        """Return the influence of each example on each task: float64 of shape (n, tasks)."""
        rates = np.array([checkpoint.rate for checkpoint in store.checkpoints])
        influence = np.zeros((len(store.ids), len(tasks.names)))
        for epoch, share in enumerate(rates / rates.sum()):
            wanted = self._directions(store.gradients(epoch, tasks.rows), tasks)
            influence += share * store.cosines(epoch, wanted)
        return influence

    def _directions(
        self, gradients: npt.NDArray[np.float32], tasks: "_Tasks"
    ) -> npt.NDArray[np.float64]:
        able = np.asarray(np.isfinite(gradients).all(axis=1))
        called = [f"the target's task '{name}'" if name else "the target" for name in tasks.names]
        for number, which in enumerate(called):
            if not (able & (tasks.numbers == number)).any():
                raise DataError(f"LESS: {which} has no response to learn from; give some")
        found = task_directions(gradients[able], tasks.numbers[able], reference=self.reference)
        for which, direction in zip(called, found, strict=True):
            if np.isnan(direction).any():
                raise DataError(f"LESS: the gradients of {which} cancel out; give other rows")
        return found


class _Tasks(NamedTuple):
    """A target by task.

    Attributes
    ----------
    names : list of str
        Sorted; '' where tasks are not told apart.
    numbers : int64 array of shape (m,)
        The task of each row.
    rows : Dataset
    """

    names: list[str]
    numbers: npt.NDArray[np.int64]
    rows: Dataset


def _tasks(target: Source | Mapping[str, Source], column: str) -> _Tasks:
    if isinstance(target, Mapping):
        parts = {name: _said(load(source, progress=False)) for name, source in target.items()}
        named = [name for name, part in parts.items() for _ in range(len(part))]
        rows = Dataset(pa.concat_tables([_said(None), *parts.values()]))
    else:
        rows = load(target, progress=False)
        there = column in rows.column_names
        values = rows.with_format("arrow")[column] if there else pa.array([""] * len(rows))
        named = formats.texts(values, column).to_pylist()
    if not len(rows):
        raise DataError("LESS: the target has no rows; give some that have responses")
    names, numbers = np.unique(named, return_inverse=True)
    return _Tasks(names.tolist(), numbers, rows)


def _said(target: Dataset | None) -> pa.Table:
    """Return prompts and responses, whatever the format; plain text is a response to nothing."""
    nothing = pa.array([], pa.large_string())
    if target is None or not len(target):
        return pa.table({"prompt": nothing, "response": nothing})
    said = formats.fields(target.with_format("arrow")[:])
    plain = formats.of(target).name == "text"
    return pa.table({"prompt": said.prompt, "response": said.text if plain else said.response})


def _signals(
    influence: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], names: list[str]
) -> pa.Table:
    best = np.where(np.isnan(scores), -1, influence.argmax(axis=1))
    task = pa.array(names, pa.string()).take(pa.array(best, mask=best < 0))
    signals = {"influence": scores, "task": task}
    if len(names) > 1:
        signals |= {f"influence_{name}": influence[:, i] for i, name in enumerate(names)}
    return pa.table(signals)
