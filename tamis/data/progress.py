"""Progress bars: on stderr, when that is a terminal, and unless a caller wants silence."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm.auto import tqdm

__all__ = ["progress_bar", "quiet"]

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def quiet(wanted: bool = True) -> Iterator[None]:
    """Draw no bar inside the `with`, however deep; with `wanted` False as before.

    Threads that are started inside have to be given the context (`contextvars.copy_context`).
    """
    token = _quiet.set(wanted or _quiet.get())
    try:
        yield
    finally:
        _quiet.reset(token)


def progress_bar(
    items: Iterable[Any] | None = None,
    *,
    progress: bool = True,
    **settings: Any,  # noqa: ANN401 - tqdm's own
) -> "tqdm[Any]":
    """Return a bar over `items`, or one that is moved by hand.

    Parameters
    ----------
    items : iterable, optional
    progress : bool
        False draws none.
    **settings
        For `tqdm` (`total`, `desc`, `unit`, …).
    """
    silent = _quiet.get() or not progress
    return tqdm(items, disable=True if silent else None, **settings)
