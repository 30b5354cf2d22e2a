"""One place that walks a pool: in batches, by however many hands, always in order.

Everything that reads rows goes through `map_batches`. What runs the batches is an
*engine*: threads on this machine by default, something else inside `using(engine)`. Only
speed may depend on the engine: a function of a batch must be pure.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset
from datasets.table import InMemoryTable, MemoryMappedTable

from tamis.data.progress import progress_bar
from tamis.data.scratch import roomy, scratch
from tamis.kernels.threads import spread

__all__ = [
    "Engine",
    "Keys",
    "LocalEngine",
    "current_engine",
    "map_batches",
    "rows_of",
    "table_of",
    "using",
]

S = TypeVar("S")
T = TypeVar("T")
Keyed = Callable[[pa.Table], tuple[T, npt.NDArray[np.uint64]]]


class Keys(Protocol):
    """Several keys a row, one a band, wherever the engine that computed them holds them."""

    def buckets(
        self, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Find which of `rows` share a key with another of them, in the same band.

        Returns
        -------
        rows : int64 array of shape (m,)
            Those that do, in the order given.
        buckets : int32 array of shape (m, bands)
            As `tamis.kernels.clusters.buckets`.
        """
        ...


class Engine(Protocol):
    """What runs functions over the batches of a pool.

    Attributes
    ----------
    apart : bool
        Whether they run in other processes, which share nothing but files with this one.
    """

    apart: ClassVar[bool]

    def map(self, pool: Dataset, function: Callable[[pa.Table], T], label: str) -> Iterator[T]:
        """Yield `function(batch)` for each batch of `pool`, in order."""
        ...

    def each(self, items: Iterable[S], function: Callable[[S], T], label: str) -> Iterator[T]:
        """Yield `function(item)` for each item, in order."""
        ...

    @contextmanager
    def keyed(
        self, pool: Dataset, function: Keyed[T], bands: int, label: str
    ) -> Iterator[tuple[Iterator[T], Keys]]:
        """Do as `map` with a function that returns keys beside its answer: shape (bands, rows).

        The keys are whole when the answers are read to their end, and there until the block
        ends.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class LocalEngine:
    """Threads of this process. Kernels release the interpreter's lock, so threads suffice.

    Parameters
    ----------
    workers : int
        Threads; 1 runs in the caller's.
    batch_rows : int
        Rows a batch. At most `workers + 1` batches are held at a time.
    """

    apart: ClassVar[bool] = False
    workers: int = 1
    batch_rows: int = 8192

    def map(self, pool: Dataset, function: Callable[[pa.Table], T], label: str) -> Iterator[T]:
        """Yield `function(batch)` for each batch of `pool`, in order."""
        with progress_bar(total=len(pool), desc=label, unit=" rows") as bar:
            tables = ((table.num_rows, table) for table in _tables(pool, self.batch_rows))
            for rows, result in self._results(tables, function):
                bar.update(rows)
                yield result

    def each(self, items: Iterable[S], function: Callable[[S], T], label: str) -> Iterator[T]:
        """Yield `function(item)` for each item, in order."""
        with progress_bar(desc=label, unit=" parts") as bar:
            for size, result in self._results(((1, item) for item in items), function):
                bar.update(size)
                yield result

    @contextmanager
    def keyed(
        self, pool: Dataset, function: Keyed[T], bands: int, label: str
    ) -> Iterator[tuple[Iterator[T], Keys]]:
        """Do as `map`, and keep the keys in a scratch file."""
        with scratch((bands, len(pool)), np.uint64) as keys:

            def answers() -> Iterator[T]:
                start = 0
                for answer, part in self.map(pool, function, label):
                    keys[:, start : start + part.shape[1]] = part
                    start += part.shape[1]
                    yield answer

            yield answers(), _Kept(keys)

    def _results(
        self, items: Iterator[tuple[int, S]], function: Callable[[S], T]
    ) -> Iterator[tuple[int, T]]:
        if self.workers == 1:
            for size, item in items:
                yield size, function(item)
            return
        with ThreadPoolExecutor(self.workers) as threads:
            waiting: deque[tuple[int, Future[T]]] = deque()
            for size, item in items:
                here = copy_context()  # a thread begins without its caller's
                waiting.append((size, threads.submit(here.run, function, item)))
                if len(waiting) > self.workers:
                    size, future = waiting.popleft()
                    yield size, future.result()
            for size, future in waiting:
                yield size, future.result()


@dataclass(frozen=True)
class _Kept:
    """Keys in an array of shape (bands, n)."""

    keys: npt.NDArray[np.uint64]

    def buckets(
        self, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Return those of `rows` that share a key, and the bucket of each key."""
        from tamis.kernels import clusters  # numba, which reading alone does not want

        wanted = np.zeros(self.keys.shape[1], bool)
        wanted[rows] = True
        several = np.zeros_like(wanted)
        for some in spread(lambda keys: clusters.shared(keys, wanted, roomy), self.keys):
            several |= some
        rows = rows[several[rows]]
        return rows, clusters.buckets(self.keys, rows, roomy)


_PLAIN = LocalEngine()
_engine: ContextVar[Engine] = ContextVar("engine", default=_PLAIN)


@contextmanager
def using(engine: Engine) -> Iterator[None]:
    """Run every `map_batches` inside the `with` on `engine`."""
    token = _engine.set(engine)
    try:
        yield
    finally:
        _engine.reset(token)


def current_engine() -> Engine:
    """Return the engine of the `using` that this is called in, or one thread."""
    return _engine.get()


def map_batches(
    pool: Dataset, function: Callable[[pa.Table], T], label: str = "rows"
) -> Iterator[T]:
    """Yield `function(batch)` for each batch of `pool`, in order, on the current engine.

    Parameters
    ----------
    pool : Dataset
    function : pure function of a pyarrow.Table with the pool's columns
    label : str
        What is being done, for the progress bar.
    """
    return _engine.get().map(pool, function, label)


def rows_of(pool: Dataset, positions: npt.NDArray[np.int64]) -> Dataset:
    """Return the rows of a pool at these positions, in their order.

    As `Dataset.select`, which for a million positions takes a third of a second to write them
    down: this lays them beside the pool as they are.
    """
    if pool._indices is not None:
        positions = pool._indices.column(0).to_numpy()[positions]
    indices = pa.table({"indices": pa.array(positions.astype(np.uint64, copy=False))})
    return Dataset(
        pool.data, info=pool.info.copy(), split=pool.split, indices_table=InMemoryTable(indices)
    ).with_format(**pool.format)


def table_of(pool: Dataset, positions: npt.NDArray[np.int64]) -> pa.Table:
    """Return the rows of a pool at these positions, in their order, as a table of one piece.

    As `Dataset.select(positions)[:]` in Arrow's format, which goes from row to row: this takes
    from each piece of the pool all that it has, and then puts them in order.
    """
    if pool._indices is not None:
        positions = pool._indices.column(0).to_numpy()[positions]
    order = np.argsort(positions, kind="stable")
    ascending = positions[order].astype(np.int64, copy=False)
    table, taken, start = pool.data.table, [], 0
    for piece in table.to_batches():
        first, last = np.searchsorted(ascending, [start, start + piece.num_rows])
        if first < last:
            taken.append(piece.take(pa.array(ascending[first:last] - start)))
        start += piece.num_rows
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return pa.Table.from_batches(taken, table.schema).combine_chunks().take(pa.array(places))


def _tables(pool: Dataset, rows: int) -> Iterator[pa.Table]:
    """Yield the pool in batches, its file read piece by piece where it has one.

    A mapped page that was read counts as memory of the process until the system takes it
    back; what is read from the file is freed with its batch.
    """
    path = _whole_file(pool)
    if path is None:
        yield from pool.with_format("arrow").iter(batch_size=rows)
        return
    wanted = None if pool._indices is None else pool._indices.column(0).to_numpy()
    start = 0
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
        for piece in stream:
            table = pa.Table.from_batches([piece])
            if wanted is not None:
                ends = np.array([start, start + piece.num_rows], wanted.dtype)
                first, last = np.searchsorted(wanted, ends)
                if last - first < piece.num_rows:
                    table = table.take(pa.array(wanted[first:last] - ends[0]))
            start += piece.num_rows
            for offset in range(0, table.num_rows, rows):
                yield table.slice(offset, rows)


def _whole_file(pool: Dataset) -> Path | None:
    """Return the Arrow stream that holds just the pool's rows, in its order, if there is one."""
    table = pool.data
    if not isinstance(table, MemoryMappedTable):
        return None
    if any(change != "replace_schema_metadata" for change, *_ in table.replays):
        return None  # sliced, renamed or otherwise another table than the file's
    if pool._indices is not None:
        wanted = pool._indices.column(0).to_numpy()
        if not (wanted[1:] > wanted[:-1]).all():
            return None
    return Path(table.path)
