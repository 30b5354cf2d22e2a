"""One place that walks a pool: in batches, by however many hands, always in order.

Everything that reads rows goes through `map_batches`. What runs the batches is an
*engine*: threads on this machine by default, something else inside `using(engine)`. Only
speed may depend on the engine: a function of a batch must be pure.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
from datasets import Dataset
from datasets.table import MemoryMappedTable

from tamis.data.progress import progress_bar

__all__ = ["Engine", "LocalEngine", "map_batches", "using"]

T = TypeVar("T")


class Engine(Protocol):
    """What runs a function over the batches of a pool."""

    def map(self, pool: Dataset, function: Callable[[pa.Table], T], label: str) -> Iterator[T]:
        """Yield `function(batch)` for each batch of `pool`, in order."""
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

    workers: int = 1
    batch_rows: int = 2048

    def map(self, pool: Dataset, function: Callable[[pa.Table], T], label: str) -> Iterator[T]:
        """Yield `function(batch)` for each batch of `pool`, in order."""
        with progress_bar(total=len(pool), desc=label, unit=" rows") as bar:
            for rows, result in self._results(_tables(pool, self.batch_rows), function):
                bar.update(rows)
                yield result

    def _results(
        self, tables: Iterator[pa.Table], function: Callable[[pa.Table], T]
    ) -> Iterator[tuple[int, T]]:
        if self.workers == 1:
            for table in tables:
                yield table.num_rows, function(table)
            return
        with ThreadPoolExecutor(self.workers) as threads:
            waiting: deque[tuple[int, Future[T]]] = deque()
            for table in tables:
                here = copy_context()  # a thread begins without its caller's
                waiting.append((table.num_rows, threads.submit(here.run, function, table)))
                if len(waiting) > self.workers:
                    rows, future = waiting.popleft()
                    yield rows, future.result()
            for rows, future in waiting:
                yield rows, future.result()


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
                first, last = np.searchsorted(wanted, [start, start + piece.num_rows])
                table = table.take(pa.array(wanted[first:last] - start))
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
