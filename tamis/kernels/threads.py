"""Work spread over the cores of this machine, with results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["spread"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, working on as many as there are cores.

    Made for kernels that release the interpreter's lock. Cut the work into pieces that do not
    depend on the number of cores, and add up in order: the sums are then the same anywhere.

    >>> list(spread(str.upper, "abc"))
    ['A', 'B', 'C']
    """
    if len(items) == 1:
        yield function(items[0])
        return
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as threads:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(threads.submit(function, item))
                if len(waiting) > cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
