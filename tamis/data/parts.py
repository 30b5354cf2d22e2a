"""The files of a shelf: parts that are written aside, never change, and merge when they are many.

    part-<when>-<chance>.parquet    columns id, value

Names sort by time of writing. Pages carry checksums; a damaged part is set aside.
"""

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tamis.data.files import written_aside
from tamis.data.places import Ids, first_of_each
from tamis.errors import CatalogError

__all__ = ["GoneError", "Parts", "is_small", "raw_ids"]

ROW_GROUP_BYTES = 256 << 10  # what must be read to reach one value, which costs 0.2 ms at least
SMALL_BYTES = 16 << 20  # a part below this may be merged with its neighbours
MANY_PARTS = 32  # small parts that a shelf may have before it merges them
MERGED_BYTES = 256 << 20  # what a merge may hold in memory
LEFTOVER_SECONDS = 3600  # a part that nobody has written to for this long is a dead run's


class GoneError(Exception):
    """A part was merged or set aside since it was listed."""


class Parts:
    """The parts in one folder.

    Parameters
    ----------
    folder : Path
    names : mapping of str to str
        What each part says of itself.
    """

    def __init__(self, folder: Path, names: Mapping[str, str]) -> None:
        self.folder, self._names = folder, names

    def paths(self) -> list[Path]:
        """Return all parts that are there now, the oldest first."""
        return sorted(self.folder.glob("part-*.parquet"))

    @contextmanager
    def opened(self, path: Path) -> Iterator[pq.ParquetFile]:
        """Open a part; one that is damaged is set aside, and is then as gone as a merged one.

        Raises
        ------
        GoneError
            If the part is no longer there.
        """
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                yield file
        except FileNotFoundError as error:
            raise GoneError(path) from error
        except (ValueError, KeyError, OSError) as error:  # what pyarrow says of damage
            if isinstance(error, OSError) and error.errno is not None:
                raise CatalogError(f"{path}: cannot be read ({error.strerror})") from error
            self._set_aside(path, error)
            raise GoneError(path) from error

    def write(self, table: pa.Table, when: int) -> None:
        """Write a part: columns id and value. `when` is its place in the order, in nanoseconds."""
        named = table.replace_schema_metadata(self._names)
        name = f"part-{when:020d}-{token_hex(4)}.parquet"
        with written_aside(self.folder / name) as aside:
            pq.write_table(
                named,
                aside,
                compression="none" if _is_numeric(table["value"].type) else "zstd",
                use_dictionary=False,
                write_statistics=False,
                write_page_checksum=True,
                row_group_size=max(1, ROW_GROUP_BYTES * len(table) // max(table.nbytes, 1)),
            )

    def merge_if_many(self) -> None:
        """Merge neighbouring small parts, when there are many; none is lost if this is killed.

        The merged part takes the first one's place in the order. Until those it replaces
        are gone, its rows are there twice, which is harmless.
        """
        sizes = {path: _size(path) for path in self.paths()}
        if sum(size < SMALL_BYTES for size in sizes.values()) <= MANY_PARTS:
            return
        with suppress(GoneError):  # another process is merging them
            for group in _neighbours(sizes):
                table = pa.concat_tables(self.whole(path) for path in group)
                first = np.flatnonzero(first_of_each(raw_ids(table["id"].combine_chunks())))
                self.write(table.take(pa.array(first)), int(group[0].name.split("-")[1]))
                for path in group:
                    path.unlink(missing_ok=True)

    def whole(self, path: Path) -> pa.Table:
        """Return a part's columns id and value."""
        with self.opened(path) as file:
            return file.read()

    def _set_aside(self, path: Path, error: Exception) -> None:
        """Rename a damaged part, so that its rows are missing."""
        aside = path.with_name(f"damaged-{path.name}")
        with suppress(FileNotFoundError):  # another process was first
            path.replace(aside)
        warnings.warn(
            f"{path}: damaged ({str(error).splitlines()[0]}); set aside as {aside.name}, "
            "its rows will be computed again",
            stacklevel=2,
        )

    def sweep(self) -> None:
        """Remove what killed runs left half written."""
        for path in self.folder.glob(".part-*.part"):
            with suppress(FileNotFoundError):  # another process has just finished it
                if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                    path.unlink()


def raw_ids(array: pa.FixedSizeBinaryArray) -> Ids:
    """Return a fixed_size_binary(16) array as V16, without a copy."""
    raw = np.frombuffer(array.buffers()[1] or b"", "V16")
    return raw[array.offset : array.offset + len(array)]


def is_small(path: Path) -> bool:
    """Return whether a part may be merged with its neighbours; larger ones stay as they are."""
    return _size(path) < SMALL_BYTES


def _neighbours(sizes: Mapping[Path, int]) -> Iterator[list[Path]]:
    """Yield runs of two or more small parts, in order, each small enough to merge in memory."""
    group: list[Path] = []
    held = 0
    for path, size in [*sizes.items(), (Path(), MERGED_BYTES)]:
        if size >= SMALL_BYTES or held + size > MERGED_BYTES:
            if len(group) > 1:
                yield group
            group, held = [], 0
        if size < SMALL_BYTES:
            group.append(path)
            held += size


def _is_numeric(kind: pa.DataType) -> bool:
    """Return whether values are numbers or vectors, which compression hardly shrinks."""
    return bool(pa.types.is_fixed_size_list(kind) or pa.types.is_primitive(kind))


def _size(path: Path) -> int:
    """Return the bytes of a part; none where another process has just merged it."""
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
