"""Arrays too large to hold: in a file that has no name and goes when they do."""

import math
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tamis.data.files import home
from tamis.errors import DataError
from tamis.kernels.ordering import blocks

__all__ = ["roomy", "roomy_texts", "scratch"]

_SMALL = 2**20


@contextmanager
def scratch(
    shape: tuple[int, ...], dtype: npt.DTypeLike, *, leaping: bool = False
) -> Iterator[npt.NDArray[Any]]:
    """Give an array of zeros that lies in a file under `home()` until the block ends.

    The system keeps in memory as much of it as there is room for. Where it will be read at
    places far from each other, say `leaping`: nothing is then read ahead.

    Raises
    ------
    DataError
        If there is no room for it on the disk, or the folder cannot be written.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    folder = home() / "scratch"
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            _make_room(file.fileno(), size + 1)  # a file of no bytes cannot be mapped
        except OSError as error:
            raise DataError(
                f"{folder}: no room for {size / 1e6:,.0f} MB ({error.strerror or error}); "
                "free space, or set TAMIS_HOME to another place"
            ) from error
        pages = mmap.mmap(file.fileno(), size + 1)
        if leaping and hasattr(mmap, "MADV_RANDOM"):
            pages.madvise(mmap.MADV_RANDOM)
        yield np.frombuffer(pages, np.uint8, size).view(dtype).reshape(shape)


def roomy(
    shape: tuple[int, ...], dtype: npt.DTypeLike, *, leaping: bool = False
) -> npt.NDArray[Any]:
    """Return an array of zeros: in memory where it is small, else in a file, as in `scratch`.

    The file goes with the array. Objects are always in memory.
    """
    kind = np.dtype(dtype)
    if kind.hasobject or math.prod(shape) * kind.itemsize <= _SMALL:
        return np.zeros(shape, kind)
    with scratch(shape, kind, leaping=leaping) as array:
        return array  # what is mapped outlives its file's closing


def roomy_texts(texts: npt.NDArray[np.object_]) -> pa.LargeStringArray:
    """Return texts as a column that lies where `roomy` lays it.

    >>> roomy_texts(np.array(["of", "", "flour"], object)).to_pylist()
    ['of', '', 'flour']
    """
    offsets = roomy((len(texts) + 1,), np.int64)
    for rows in blocks(len(texts)):
        lengths = np.asarray(pc.binary_length(pa.array(texts[rows], pa.large_string())))
        offsets[rows.start + 1 : rows.stop + 1] = offsets[rows.start] + np.cumsum(lengths)
    content = roomy((int(offsets[-1]),), np.uint8)
    for rows in blocks(len(texts)):
        part = np.frombuffer("".join(texts[rows]).encode(), np.uint8)
        content[offsets[rows.start] : offsets[rows.stop]] = part
    return pa.LargeStringArray.from_buffers(
        len(texts), pa.py_buffer(offsets), pa.py_buffer(content)
    )


def _make_room(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # a full disk is refused here, not by a signal later
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)
