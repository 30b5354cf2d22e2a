"""Ray: the batches of a recipe on the cores and cards of a cluster, or of this machine.

Ray Data moves what there is to move, keeps the order, and does again what a lost process was
at. Rows do not pass through this process: a pool lies in a file under TAMIS_HOME, and is read
where its batch is worked on, so that all nodes have to see that folder. Functions that hold a
model go to actors, with a card each where there are cards, which keep it from one pass to the
next (see `tamis.pipelines.engines.actors`). What asks a server runs in this process, and vLLM as
Ray's own LLM batches do (see `tamis.pipelines.engines.llm`).
"""

import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data.batches import Keyed, Keys, LocalEngine
from tamis.data.files import home
from tamis.data.progress import progress_bar
from tamis.errors import MissingExtraError, RunError

try:
    import ray
    import ray.data
except ImportError as error:
    raise MissingExtraError("Ray", "ray") from error

from tamis.pipelines.engines.actors import Kind, dismiss, through_actors
from tamis.pipelines.engines.bands import BandKeys
from tamis.pipelines.engines.joining import join, one_line, silent
from tamis.pipelines.engines.parcels import Parcel, answered, cells, packed, worked

__all__ = ["RayEngine"]

S = TypeVar("S")
T = TypeVar("T")

_MOST_ROWS = 131_072  # a task's: what its worker holds of answers
_FEWEST_ASKED = 32  # a task's, of a model; of others a batch, which is milliseconds of work
_TURNS, _TURNS_ASKED = 2, 8  # tasks a process that the rows left would make: a model's rows differ


@dataclass(frozen=True, kw_only=True)
class RayEngine:
    """Ray Data runs the batches.

    Parameters
    ----------
    address : str, optional
        Of a cluster; by default the one that RAY_ADDRESS names, or a Ray of its own on this
        machine, with neither dashboard nor telemetry.
    workers : int
        Processes, where Ray is its own.
    batch_rows : int
        Rows that a function is given at once.
    """

    apart: ClassVar[bool] = True
    address: str | None = None
    workers: int = 1
    batch_rows: int = 8192

    def map(self, pool: Dataset, function: Callable[[pa.Table], T], label: str) -> Iterator[T]:
        """Yield `function(batch)` for each batch of `pool`, in order."""
        parcel = packed(partial(_over_rows, pool, function, self.batch_rows))
        join(self.address, self.workers)
        ranges = self._ranges(len(pool), asked=bool(parcel.models))
        if parcel.stays or (len(ranges) == 1 and not parcel.models):
            batch_rows = max(parcel.together, self.batch_rows)
            yield from LocalEngine(batch_rows=batch_rows).map(pool, function, label)
            return
        with progress_bar(total=len(pool), desc=label, unit=" rows") as bar:
            answers = _answers(parcel, ranges)
            for (start, stop), some in zip(ranges, answers, strict=True):
                yield from some
                bar.update(stop - start)

    def each(self, items: Iterable[S], function: Callable[[S], T], label: str) -> Iterator[T]:
        """Yield `function(item)` for each item, in order."""
        parcel = packed(function)
        join(self.address, self.workers)
        if parcel.stays:
            yield from LocalEngine().each(items, function, label)
            return
        yield from progress_bar(_answers(parcel, [*items]), desc=label, unit=" parts")

    @contextmanager
    def keyed(
        self, pool: Dataset, function: Keyed[T], bands: int, label: str
    ) -> Iterator[tuple[Iterator[T], Keys]]:
        """Do as `map`, and give the keys, which stay where they were computed."""
        join(self.address, self.workers)
        parcel = packed(partial(_over_rows, pool, function, self.batch_rows))
        with progress_bar(total=len(pool), desc=label, unit=" rows") as bar:
            ranges = self._ranges(len(pool), asked=False)
            found = _blocks(_keyed_block, parcel, ranges).materialize()
            bar.update(len(pool))
        answers = _opened(_cells_of(found.select_columns(["answer"])))
        yield (one for some in answers for one in some), BandKeys(found, len(pool), bands)

    def _ranges(self, rows: int, *, asked: bool) -> list[tuple[int, int]]:
        """Cut the rows into tasks: large ones, and smaller ones the nearer the end.

        No process then waits for long for the last one (Polychronopoulos and Kuck 1987, 'Guided
        self-scheduling').
        """
        fewest = min(_FEWEST_ASKED, self.batch_rows) if asked else self.batch_rows
        turns = (_TURNS_ASKED if asked else _TURNS) * _slots("CPU")
        ends = [0]
        while (left := rows - ends[-1]) > 0:
            share = min(max(left // turns, fewest), _MOST_ROWS)
            ends.append(min(ends[-1] + share, rows))
        return list(pairwise(ends))


def _slots(kind: Kind) -> int:
    found = int(ray.cluster_resources().get(kind, 0))
    return max(found, 1) if kind == "CPU" else found  # a cluster that grows may have none yet


# What workers do.


def _over_rows(
    pool: Dataset,
    function: Callable[[pa.Table], T],
    batch_rows: int,
    rows: tuple[int, int],
) -> list[T]:
    """Return what a function makes of each batch of the pool's rows from `start` to `stop`."""
    tables = pool.with_format("arrow")
    starts = range(*rows, batch_rows)
    return [function(tables[start : min(start + batch_rows, rows[1])]) for start in starts]


def _answer(home: str, work: Any, item: Any) -> bytes:  # noqa: ANN401 - an ObjectRef, an item
    return worked(lambda: _ready(home, work)(item))


def _answer_block(home: str, work: Any, block: pa.Table) -> pa.Table:  # noqa: ANN401 - an ObjectRef
    return _block(answer=_answer(home, work, _only(block)))


def _keyed_block(home: str, work: Any, block: pa.Table) -> pa.Table:  # noqa: ANN401 - an ObjectRef
    item, keys = _only(block), list[npt.NDArray[np.uint64]]()

    def answers() -> list[object]:
        found = _ready(home, work)(item)
        keys.extend(part for _, part in found)
        return [answer for answer, _ in found]

    answer = worked(answers)
    return _block(answer=answer, start=item[0], keys=b"".join(part.T.tobytes() for part in keys))


def _ready(home: str, work: Any) -> Callable[..., Any]:  # noqa: ANN401 - an ObjectRef
    os.environ["TAMIS_HOME"] = home
    return _unpacked(work)


@lru_cache(maxsize=2)
def _unpacked(work: Any) -> Callable[..., Any]:  # noqa: ANN401 - an ObjectRef
    """Return the function of a parcel; the last two are remembered, and their models with them."""
    function: Callable[..., Any] = pickle.loads(ray.get(work))
    return function


def _only(block: pa.Table) -> Any:  # noqa: ANN401 - an item
    (item,) = cells(block["item"])
    return pickle.loads(item)


def _block(**cells: bytes | int) -> pa.Table:
    """Return a table of one row; its bytes can be many, and are not copied."""
    return pa.table({name: _column(cell) for name, cell in cells.items()})


def _column(cell: bytes | int) -> pa.Array:
    if isinstance(cell, int):
        return pa.array([cell])
    ends, content = pa.py_buffer(np.array([0, len(cell)])), pa.py_buffer(cell)
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, ends, content])


# What this process does.


def _answers(parcel: Parcel, items: list[Any]) -> Iterator[Any]:
    """Yield what comes of each item, in order, as they come."""
    if not parcel.models:
        return _opened(_cells_of(_blocks(_answer_block, parcel, items)))
    work = partial(_answer, str(home()), ray.put(parcel.content))
    kind: Kind = "GPU" if parcel.wants_card and _slots("GPU") else "CPU"
    return _opened(through_actors(work, items, kind, _slots(kind)))


def _blocks(
    work: Callable[[str, Any, pa.Table], pa.Table], parcel: Parcel, items: list[Any]
) -> ray.data.Dataset:
    """Return the dataset that has a block for each item: what `work` makes of it, in order."""
    dismiss("CPU")  # or no core is left for tasks
    given = [_block(item=pickle.dumps(item, protocol=5)) for item in items]
    if not given:
        return ray.data.from_arrow(_block(answer=b"").slice(1))
    done = partial(work, str(home()), ray.put(parcel.content))
    settings = silent(in_order=True)
    # What tasks reserve for other operators, of which there are none, leaves half the CPUs idle.
    settings.op_resource_reservation_enabled = False
    with ray.data.DataContext.current(settings):
        blocks = ray.data.from_blocks(given)  # `from_arrow` asks a task what is in each
        return blocks.map_batches(done, batch_size=None, batch_format="pyarrow")


def _cells_of(answers: ray.data.Dataset) -> Iterator[memoryview]:
    for block in answers.iter_batches(batch_size=None, batch_format="pyarrow"):
        yield from cells(block["answer"])


def _opened(answers: Iterator[bytes | memoryview]) -> Iterator[Any]:
    try:
        yield from map(answered, answers)
    except ray.exceptions.RayError as error:
        raise RunError(f"ray: {one_line(error)}; its logs say more") from error
