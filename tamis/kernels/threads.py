"""Work spread over the cores of this machine, with results in order."""

import ctypes
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import ContextVar, copy_context
from itertools import chain, islice
from typing import TypeVar

__all__ = ["end_if_asked", "give_back", "side_by_side", "spread", "yield_to_others"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_LEAST_URGENT = 19
_ending: ContextVar[threading.Event | None] = ContextVar("ending", default=None)


def spread(
    function: Callable[[Item], Result], items: Iterable[Item], most: int = sys.maxsize
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, working on as many as there are cores.

    Or on fewer, `most`, where each takes much memory.

    Made for kernels that release the interpreter's lock. Cut the work into pieces that do not
    depend on the number of cores, and add up in order: the sums are then the same anywhere.
    Items are asked for as they are worked on, one more than there are cores. A single one is
    worked on where it is asked for, without threads.

    >>> list(spread(str.upper, "abc"))
    ['A', 'B', 'C']
    """
    left = iter(items)
    first = [*islice(left, 2)]
    if len(first) < 2:
        yield from map(function, first)
        return
    cores = min(os.cpu_count() or 1, most)
    with ThreadPoolExecutor(cores) as threads:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in chain(first, left):
                waiting.append(threads.submit(function, item))
                if len(waiting) > cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def side_by_side(
    function: Callable[[Item], Result], items: Sequence[Item], together: int
) -> list[Result]:
    """Return `function(item)` for each item, in order, working on `together` of them at once.

    For long work in which the interpreter is often free. Each sees the caller's context. When
    one fails, or Ctrl-C is heard, no other begins, and those at work end where they next call
    `end_if_asked`.

    >>> side_by_side(str.upper, "abc", 2)
    ['A', 'B', 'C']
    """
    if together == 1:
        return [function(item) for item in items]
    ending = threading.Event()
    reset = _ending.set(ending)
    with ThreadPoolExecutor(together) as hands:
        try:
            at_work = [hands.submit(copy_context().run, function, item) for item in items]
            for future in wait(at_work, return_when=FIRST_EXCEPTION).done:
                future.result()  # raises what went wrong, while the others are still at work
            return [future.result() for future in at_work]
        except BaseException:
            ending.set()
            hands.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            _ending.reset(reset)


def end_if_asked() -> None:
    """Raise KeyboardInterrupt in one of several that work side by side, if all shall end."""
    ending = _ending.get()
    if ending is not None and ending.is_set():
        raise KeyboardInterrupt


def yield_to_others() -> None:
    """Have this thread, from now on, take only the time that others leave, where that can be."""
    if sys.platform == "linux":  # elsewhere a priority is that of all threads
        with suppress(PermissionError):  # a sandbox may forbid it: then it does not yield
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LEAST_URGENT)


def give_back() -> None:
    """Return freed memory to the system, where the C library can.

    Each thread frees into an arena of its own, which glibc keeps: after some large pieces of
    work, of no use to the next, that is gigabytes.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
