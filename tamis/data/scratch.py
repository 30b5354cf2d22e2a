"""Arrays too large to hold: in a file that has no name and goes when they do."""

import math
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tamis.data.files import home
from tamis.errors import DataError
from tamis.kernels.ordering import blocks

__all__ = ["Filling", "roomy", "roomy_texts", "scratch"]

_SMALL = 2**20
_LAID_OUT = 2**28  # bytes that are written before they are mapped; of more, disks would feel it
_ZEROS = memoryview(bytes(2**20))


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
    size = _bytes_of(shape, dtype)
    with _file_of(size) as file:
        if size <= _LAID_OUT:
            _write_zeros(file, size)
        yield _mapped(file, shape, dtype, leaping)


def roomy(
    shape: tuple[int, ...], dtype: npt.DTypeLike, *, leaping: bool = False
) -> npt.NDArray[Any]:
    """Return an array of zeros: in memory where it is small, else in a file, as in `scratch`.

    The file goes with the array. Objects are always in memory.
    """
    if _is_small(shape, dtype):
        return np.zeros(shape, dtype)
    with scratch(shape, dtype, leaping=leaping) as array:
        return array  # what is mapped outlives its file's closing


class Filling:
    """An array that is filled from its beginning on, and lies where `roomy` would lay it.

    A file is written as it is added to, and mapped when it is `whole`: to fill one through its
    mapping is a fault for each page, and takes five times as long.

    Parameters
    ----------
    shape : tuple of int
        The first is how many rows there can be.
    dtype : dtype

    Examples
    --------
    >>> filling = Filling((3,), np.float64)
    >>> for part in ([1, 2], [3]):
    ...     filling.add(part)
    >>> filling.whole().tolist()
    [1.0, 2.0, 3.0]
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._shape, self._dtype, self._rows = shape, np.dtype(dtype), 0
        self._array: npt.NDArray[Any] | None = None
        if _is_small(shape, dtype):
            self._array = np.zeros(shape, dtype)
        else:
            self._file = _file_of(_bytes_of(shape, dtype))
            weakref.finalize(self, self._file.close)  # an error may come before it is whole

    def add(self, rows: npt.ArrayLike) -> None:
        """Write the next rows; ValueError if there can be no more."""
        part = np.ascontiguousarray(rows, self._dtype)
        if self._rows + len(part) > self._shape[0]:
            raise ValueError(f"{len(part)} rows beyond {self._rows}, of {self._shape[0]} at most")
        if self._array is not None:
            self._array[self._rows : self._rows + len(part)] = part
        else:
            self._file.write(part.view(np.uint8).data)
        self._rows += len(part)

    def whole(self, *, leaping: bool = False) -> npt.NDArray[Any]:
        """Return the rows that were added, to be read as in `scratch`; no more can be."""
        if self._array is None:
            with self._file as file:
                file.flush()
                self._array = _mapped(file, self._shape, self._dtype, leaping)
        return self._array[: self._rows]


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


def _is_small(shape: tuple[int, ...], dtype: npt.DTypeLike) -> bool:
    """Return whether an array is held in memory: a small one, or one of objects."""
    return np.dtype(dtype).hasobject or _bytes_of(shape, dtype) <= _SMALL


def _bytes_of(shape: tuple[int, ...], dtype: npt.DTypeLike) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _file_of(size: int) -> IO[bytes]:
    """Open a file without a name, with room for so many bytes, and one that it can be mapped."""
    folder = home() / "scratch"
    with ExitStack() as if_refused:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = if_refused.enter_context(tempfile.TemporaryFile(dir=folder))
            _make_room(file.fileno(), size + 1)  # a file of no bytes cannot be mapped
        except OSError as error:
            raise DataError(
                f"{folder}: no room for {size / 1e6:,.0f} MB ({error.strerror or error}); "
                "free space, or set TAMIS_HOME to another place"
            ) from error
        if_refused.pop_all()
    return file


def _write_zeros(file: IO[bytes], size: int) -> None:
    """Put the pages of a file into memory: it is then filled in a third of the time."""
    for start in range(0, size, len(_ZEROS)):
        file.write(_ZEROS[: size - start])
    file.flush()


def _mapped(
    file: IO[bytes], shape: tuple[int, ...], dtype: npt.DTypeLike, leaping: bool
) -> npt.NDArray[Any]:
    size = _bytes_of(shape, dtype)
    pages = mmap.mmap(file.fileno(), size + 1)
    if leaping and hasattr(mmap, "MADV_RANDOM"):
        pages.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(pages, np.uint8, size).view(dtype).reshape(shape)


def _make_room(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # a full disk is refused here, not by a signal later
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)
