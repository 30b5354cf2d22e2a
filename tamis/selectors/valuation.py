"""What methods that value labelled examples share: labels, vectors, and keeping the valuable."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.data import formats
from tamis.data.batches import map_batches
from tamis.data.ids import example_ids
from tamis.data.load import Source, load
from tamis.errors import DataError, did_you_mean
from tamis.models.base import Embedder
from tamis.models.embeddings import Part, points_by_id
from tamis.selectors.base import Selector
from tamis.selectors.pickers import top_k
from tamis.selectors.selection import Selection, one_reason, say_kept

__all__ = ["Labelled", "Valuation", "Values", "labels"]

LONGEST_LABEL = 40
_ROUNDING = 1e-12  # by which a sum of values may miss 0


class Labelled(NamedTuple):
    """A pool and a target as a learner sees them; rows without vector or label are left out.

    Attributes
    ----------
    rows : int64 array of shape (n,)
        Positions in the pool, in the order of ids, of copies in that of their labels.
    points : float32 array of shape (n, d)
    labels : int64 array of shape (n,)
        Numbers of classes, from 0; classes are those of pool and target, sorted by name.
    queries : float32 array of shape (m, d)
        Vectors of the target's examples.
    answers : int64 array of shape (m,)
        Their classes.
    classes : int
    """

    rows: npt.NDArray[np.int64]
    points: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    queries: npt.NDArray[np.float32]
    answers: npt.NDArray[np.int64]
    classes: int


class Values(NamedTuple):
    """What a method found, for each of `Labelled.rows`.

    Attributes
    ----------
    values : float64 array of shape (n,)
        NaN where there is none.
    signals : dict of arrays of shape (n,)
    """

    values: npt.NDArray[np.float64]
    signals: dict[str, npt.NDArray[Any]]


@dataclass(kw_only=True, repr=False)
class Valuation(Selector):
    """Keep the examples that do a learner most good on the target.

    A method says what each labelled example is worth (`_values`). The highest values are
    kept; without `k`, those that do no harm, or what the method's own rule says (`_rule`).

    Parameters
    ----------
    target : Dataset, or anything `tamis.load` takes
        Labelled examples that the learner should get right.
    embedder : Embedder or str
        The learner sees its vectors.
    label : str
        The column of the classes. Where there is none of that name, responses are taken for
        the classes if they are short (at most 40 characters, few of them different), and
        vectors are those of the prompts.
    """

    needs_k: ClassVar[bool] = False
    target: Source
    embedder: Embedder | str = "bundled"
    label: str = "label"

    @abstractmethod
    def _values(self, task: Labelled) -> Values:
        """Return the value of each example."""

    def _rule(self, task: Labelled, values: npt.NDArray[np.float64]) -> int:
        """Return how many to keep where no `k` is given."""
        return int(np.count_nonzero(values >= -_ROUNDING))

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        task, reasons = self._labelled(pool)
        values, found = self._values(task)
        ids = example_ids(pool)
        scores = _over(task.rows, values, len(pool))
        kept = self._rule(task, values) if k is None else k
        indices = top_k(scores, ids, kept)
        reasons[task.rows] = np.where(
            np.isnan(values), "never drawn, so not valued", "worth less than the kept"
        )
        say_kept(reasons, indices)
        signals = {name: _over(task.rows, signal, len(pool)) for name, signal in found.items()}
        return Selection(indices, scores, reasons, pa.table({"value": scores, **signals}))

    def _labelled(self, pool: Dataset) -> tuple[Labelled, npt.NDArray[np.object_]]:
        """Return what there is to learn from, and a reason for each row that is left out."""
        me = type(self).__name__
        target = load(self.target, progress=False)
        names, part = labels(pool, self.label, f"{me}: the pool")
        wanted, target_part = labels(target, self.label, f"{me}: the target")
        both = pa.concat_arrays([names, wanted])
        classes = pa.array(sorted(pc.unique(both.drop_null()).to_pylist()), pa.large_string())
        codes = np.asarray(pc.index_in(both, classes).fill_null(-1), np.int64)

        rows, points = self._learnable(pool, codes[: len(pool)], part, f"{me}: the pool")
        asked, queries = self._learnable(
            target, codes[len(pool) :], target_part, f"{me}: the target"
        )
        reasons = one_reason(len(pool), "no embedding")
        reasons[codes[: len(pool)] < 0] = "no label"
        answers = codes[len(pool) + asked]
        task = Labelled(rows, points, codes[rows], queries, answers, len(classes))
        return task, reasons

    def _learnable(
        self, pool: Dataset, codes: npt.NDArray[np.int64], part: Part, who: str
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return the rows that have a label and a vector, by id and label, and the vectors."""
        rows = np.argsort(codes, kind="stable")
        rows = rows[codes[rows] >= 0]
        if not len(rows):
            raise DataError(f"{who} has no example with a label; give some")
        return points_by_id(pool, self.embedder, rows, part=part, who=who)


def labels(pool: Dataset, column: str, who: str = "the pool") -> tuple[pa.LargeStringArray, Part]:
    """Return the class of each example, and which part of an example is to be embedded.

    Parameters
    ----------
    pool : Dataset
    column : str
        Its values are the classes. Where it is missing, short responses are.
    who : str
        As the error says it.

    Returns
    -------
    names : large_string array
        Null where there is none.
    part : {"text", "prompt"}
        'prompt' where the response is the class.

    Raises
    ------
    DataError
        If there is no such column, and responses are long, or nearly all different.

    Examples
    --------
    >>> pool = Dataset.from_dict({"prompt": ["fine", "dull", "bad"], "completion": [1, 0, 0]})
    >>> names, part = labels(pool, "label")
    >>> names.to_pylist(), part
    (['1', '0', '0'], 'prompt')
    """
    there = column in pool.column_names

    def named(batch: pa.Table) -> pa.LargeStringArray:
        return formats.texts(batch[column], column) if there else formats.fields(batch).response

    names = pa.concat_arrays(list(map_batches(pool, named, label="labels")))
    if not there:
        _check_classes(names, column, pool.column_names, who)
    return pc.if_else(pc.equal(names, ""), None, names), "text" if there else "prompt"


def _check_classes(names: pa.Array, column: str, columns: list[str], who: str) -> None:
    longest = pc.max(pc.utf8_length(names)).as_py()
    different = pc.count_distinct(names).as_py()
    if longest == 0:
        why = "no responses"
    elif longest > LONGEST_LABEL:
        why = f"responses of up to {longest} characters"
    elif different > max(2, len(names) // 2):
        why = f"{different} different responses in {len(names)} rows"
    else:
        return
    near = did_you_mean(column, columns)
    raise DataError(f"{who} has no column '{column}' for the classes, and {why}; {near}")


def _over(rows: npt.NDArray[np.int64], values: npt.NDArray[Any], n: int) -> npt.NDArray[np.float64]:
    """Return values by position in the pool, NaN where a row has none."""
    spread = np.full(n, np.nan)
    spread[rows] = values
    return spread
