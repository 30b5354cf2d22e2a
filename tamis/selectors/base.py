"""What every selection method is: settings in, a pool in, a Selection out."""

import copy
import hashlib
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data.batches import LocalEngine, map_batches, using
from tamis.data.ids import example_ids
from tamis.data.load import Source, load
from tamis.data.progress import quiet
from tamis.data.scratch import Filling
from tamis.errors import BudgetError, DataError, SettingError, did_you_mean
from tamis.selectors.pickers import top_k
from tamis.selectors.selection import Selection, one_reason, say_kept

__all__ = ["Budget", "Scorer", "Selector", "recorded_data"]

Budget = int | float | None

_MODELS = frozenset({"lm", "embedder", "judge", "complexity", "quality"})
"""Settings that name a model."""


@dataclass(kw_only=True, repr=False)
class Selector(ABC):
    """Choose examples from a pool, with a score and a reason for every row.

    A method is a keyword-only dataclass of its settings with one method, `_select`. It
    holds no data: what it learns belongs to the call.

    Attributes
    ----------
    name : str
        The method's name in recipes and on the command line.
    needs_k : bool
        True where the method has no rule of its own for how many to keep.
    """

    name: ClassVar[str]
    needs_k: ClassVar[bool] = True
    _given: tuple[str, ...] = field(default=(), init=False, compare=False)

    def __new__(cls, *args: object, **settings: object) -> Self:
        """Remember which settings were given, so that the object prints as its call."""
        known = [setting.name for setting in fields(cls) if setting.init]
        if args:
            raise TypeError(f"{cls.__name__}: settings are keywords, as in {cls.__name__}(seed=0)")
        for name in settings:
            if name not in known:
                raise SettingError(
                    f"{cls.__name__}: no setting '{name}'; {did_you_mean(name, known)}"
                )
        self = super().__new__(cls)
        self._given = tuple(settings)
        return self

    def select(
        self,
        pool: Source,
        k: Budget = None,
        *,
        workers: int = 1,
        batch_rows: int = 8192,
        progress: bool = True,
    ) -> Selection:
        """Choose `k` examples of `pool`.

        Parameters
        ----------
        pool : Dataset, or anything `tamis.load` takes
        k : int, float or None
            How many to keep; a float between 0 and 1 is a share of the pool, rounded
            down. None is the method's own rule. Fewer are kept where fewer have a score.
        workers : int
            Threads; never changes who is chosen.
        batch_rows : int
            Rows looked at together; never changes who is chosen.
        progress : bool
            Draw progress bars on stderr, when that is a terminal.

        Raises
        ------
        BudgetError
            If `k` cannot be met.
        DataError
            If the pool is empty or lacks the columns that the method reads.
        """
        with quiet(not progress), using(LocalEngine(workers=workers, batch_rows=batch_rows)):
            return self.choose(load(pool), k)

    @property
    def asks_models(self) -> bool:
        """Whether it asks a model, as it is set, and so may want a card to itself."""
        return any(setting.name in _MODELS for setting in fields(self))

    def choose(self, pool: Dataset, k: Budget = None) -> Selection:
        """Do as `select` does, on the engine that is current."""
        if len(pool) == 0:
            raise DataError(f"{type(self).__name__}: the pool has no rows; give one that has some")
        budget = self._budget(k, len(pool))
        started = time.perf_counter()
        selection = self._select(pool, budget)
        seconds = time.perf_counter() - started
        return replace(selection, ids=example_ids(pool), method=self.name, seconds=seconds)

    @abstractmethod
    def _select(self, pool: Dataset, k: int | None) -> Selection:
        """Choose from a pool of at least one row; `k` is from 1 to its length, or None."""

    def _budget(self, k: Budget, n: int) -> int | None:
        me = type(self).__name__
        if k is None:
            if self.needs_k:
                raise BudgetError(f"{me}: k is missing; say how many to keep, from 1 to {n}")
            return None
        if isinstance(k, bool) or not isinstance(k, Real) or math.isnan(k):
            raise BudgetError(f"{me}: k={k!r} is no number; give one from 1 to {n}, or a share")
        if isinstance(k, Integral):
            if not 1 <= k <= n:
                raise BudgetError(f"{me}: k={int(k)}, but the pool has {n}; give k from 1 to that")
            return int(k)
        if not 0 < k <= 1:
            raise BudgetError(f"{me}: k={k} is no share; give a float above 0, up to 1, or an int")
        if int(n * k) == 0:
            raise BudgetError(f"{me}: k={k} of {n} rows is none; give a larger share")
        return int(n * float(k))

    def settings(self) -> dict[str, Any]:
        """Return every setting by name, as JSON values; the target by the digest of its rows."""
        return {
            setting.name: (recorded_data if setting.name == "target" else _recorded)(
                getattr(self, setting.name)
            )
            for setting in fields(self)
            if setting.init
        }

    def __repr__(self) -> str:
        given = (f"{name}={_shown(getattr(self, name))}" for name in self._given)
        return f"{type(self).__name__}({', '.join(given)})"


@dataclass(kw_only=True, repr=False)
class Scorer(Selector):
    """A method that gives each row a score on its own: fit once, then score batch by batch.

    `fit` looks at pool and target; `measure` is then a pure function of a batch, so that
    batch size, threads and machines cannot change a score. What `fit` learns ends in `_`.
    """

    @abstractmethod
    def fit(self, pool: Dataset) -> Self:
        """Learn what scoring needs from the pool (and the target); return self."""

    @abstractmethod
    def measure(self, batch: pa.Table) -> dict[str, npt.NDArray[Any]]:
        """Return the signals behind the score of each row, by name."""

    @abstractmethod
    def score_of(self, signals: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return the score of each row from its signals; NaN where there is none."""

    def score(self, batch: pa.Table | Dataset | Mapping[str, list[Any]]) -> npt.NDArray[np.float64]:
        """Return the score of each row of `batch`: float64 of shape (len(batch),).

        `fit` must have been called. Rows are scored one by one: splitting a batch
        splits the result.
        """
        return self.score_of(self.measure(_as_table(batch)))

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        fitted = copy.copy(self).fit(pool)
        parts = map_batches(pool, fitted._measured, label=f"{self.name}: score")
        signals, scores = _gathered(parts, len(pool))
        return fitted._pick(example_ids(pool), signals, scores, k)

    def _measured(
        self, batch: pa.Table
    ) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.float64]]:
        signals = self.measure(batch)
        return signals, self.score_of(signals)

    def _pick(
        self,
        ids: npt.NDArray[np.void],
        signals: Mapping[str, npt.NDArray[Any]],
        scores: npt.NDArray[np.float64],
        k: int | None,
    ) -> Selection:
        """Keep the `k` best scores; a method with another rule overrides this."""
        indices = top_k(scores, ids, len(scores) if k is None else k)
        reasons = one_reason(len(scores), "score below that of the kept")
        reasons[np.isnan(scores)] = "no score"
        say_kept(reasons, indices)
        return Selection(indices, scores, reasons, pa.table(dict(signals)))


def _gathered(
    parts: Iterable[tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.float64]]], n: int
) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.float64]]:
    """Put signals and scores of batches into arrays of `n` rows, in files where they are large."""
    columns: dict[str, Filling] = {}
    scores = Filling((n,), np.float64)
    for signals, part in parts:
        scores.add(part)
        for name, values in signals.items():
            if name not in columns:
                kind = object if values.dtype.kind == "U" else values.dtype
                columns[name] = Filling((n,), kind)
            columns[name].add(values)
    return {name: column.whole() for name, column in columns.items()}, scores.whole()


def _as_table(batch: pa.Table | Dataset | Mapping[str, list[Any]]) -> pa.Table:
    if isinstance(batch, pa.Table):
        return batch
    if isinstance(batch, Dataset):
        return batch.with_format("arrow")[:]
    return pa.table(dict(batch))


def _shown(value: object) -> str:
    return f"<{len(value)} rows>" if isinstance(value, Dataset | list) else repr(value)


def _recorded(value: object) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, Selector):
        return {"method": value.name, **value.settings()}
    if isinstance(value, Mapping):
        return {str(name): _recorded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_recorded(item) for item in value]
    return getattr(value, "fingerprint", value)


def recorded_data(target: Any) -> Any:  # noqa: ANN401 - a source, or several by name
    """Return what tells data apart: the number of its rows, and a digest of them in any order."""
    if isinstance(target, Mapping):
        return {str(name): recorded_data(source) for name, source in target.items()}
    if target is None:
        return None
    data = load(target, progress=False)
    return {"rows": len(data), "digest": _digest(data)}


def _digest(data: Dataset) -> str:
    """Return a digest of the rows' content, whatever their order."""
    return hashlib.blake2b(np.sort(example_ids(data)).tobytes(), digest_size=16).hexdigest()
