"""Files that appear whole or not at all."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident

from tamis.errors import DataError

__all__ = ["home", "laid_down", "written_aside"]

_LAID = 2**26  # bytes between two syncs


def home() -> Path:
    """Return the folder of caches, runs and the catalogue: `TAMIS_HOME`, or `.tamis` here."""
    return Path(os.environ.get("TAMIS_HOME") or ".tamis").absolute()


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a path to write to; rename it to `path` when the block ends well.

    A reader, or a run that is killed, never sees half a file.

    Raises
    ------
    DataError
        If the folder cannot be written, or the disk is full.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "free space, or give another place"
        ) from error
    finally:
        with suppress(OSError):
            aside.unlink()


@contextmanager
def laid_down(path: Path) -> Iterator[Callable[[int], None]]:
    """Have a file go to the disk while it is written: a gigabyte at the end is waited for.

    What is given is to be told of the bytes that were written. When the block ends, those that
    it was told of last may still be on their way.
    """
    file = os.open(path, os.O_RDONLY)
    told, laid = 0, list[Future[None]]()
    with ThreadPoolExecutor(1) as thread:

        def wrote(size: int) -> None:
            nonlocal told
            told += size
            if told >= _LAID:
                laid.append(thread.submit(os.fsync, file))
                told = 0

        try:
            yield wrote
            for part in laid:
                part.result()
        finally:
            thread.shutdown(cancel_futures=True)
            os.close(file)
