"""Features, computed once: kept by example, model and feature, in Parquet parts.

    features/<feature>/<model>/part-<when>-<chance>.parquet    columns id, value

A *shelf* holds one feature by one model. A part is written aside and renamed into place,
and never changes: a killed run loses what it had not flushed yet, and any number of
processes may fill a shelf at once. Where two of them wrote the same example, the older
part is believed. Small parts are merged, in the order they were written, when there are
many. Pages carry checksums; a damaged part is set aside, and its rows are missing again.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tamis.data.files import home
from tamis.data.ids import id_array
from tamis.data.parts import GoneError, Parts, is_small, raw_ids
from tamis.data.places import Ids, Places, first_of_each
from tamis.data.progress import progress_bar
from tamis.errors import CatalogError

__all__ = ["FeatureStore", "Shelf", "Values"]

_IDS_AT_ONCE = 1 << 18  # of a part: each batch of them is a segment of the index to merge

Values: TypeAlias = (
    npt.NDArray[Any] | pa.Array | Sequence[str] | Sequence[float] | Sequence[Sequence[float]]
)


@dataclass(frozen=True)
class FeatureStore:
    """The shelves under one folder, by default `features` in `TAMIS_HOME`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> ids = np.frombuffer(b"".join(bytes([n] * 16) for n in range(3)), "V16")
    >>> with TemporaryDirectory() as folder:
    ...     shelf = FeatureStore(Path(folder)).open("length", "words-1")
    ...     shelf.fill(ids, lambda rows: rows * 1.5, progress=False)
    ...     shelf.fill(ids, lambda rows: rows * 1.5, progress=False)
    ...     shelf.numbers(ids[::-1])
    3
    0
    array([3. , 1.5, 0. ])
    """

    root: Path = field(default_factory=lambda: home() / "features")

    def open(self, feature: str, model: str) -> "Shelf":
        """Return the shelf of `feature` by the model with this fingerprint; it may be empty."""
        return Shelf(self.root / _folder_name(feature) / _folder_name(model), feature, model)

    def shelves(self) -> "Iterator[Shelf]":
        """Yield every shelf that holds something; each part knows the names of its own."""
        for folder in sorted(self.root.glob("*/*/")):
            part = next(folder.glob("part-*.parquet"), None)
            if part is not None:
                names = pq.read_schema(part).metadata
                yield Shelf(
                    folder, names[b"tamis_feature"].decode(), names[b"tamis_model"].decode()
                )


class Shelf:
    """One feature by one model: a value of one Arrow type an example id.

    Values are numbers, strings, vectors of one length or lists, never null: NaN, '' and
    [] can say that there is none.

    Ids take up to 28 bytes a row, in files where they are many; values stay in theirs. An object is
    for one thread; open as many as are wanted.
    """

    def __init__(self, folder: Path, feature: str, model: str) -> None:
        self.folder, self.feature, self.model = folder, feature, model
        self._files = Parts(folder, {"tamis_feature": feature, "tamis_model": model})
        self._forget()

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str, str]]:
        """Look at the files again in another process."""
        return type(self), (self.folder, self.feature, self.model)

    def __repr__(self) -> str:
        return f"<Shelf of {self.feature} by {self.model}: {len(self._parts)} parts>"

    def missing(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Return, for each id, whether the shelf has no value for it."""
        self._refresh()
        return self._find(ids) < 0

    def put(self, ids: Ids, values: Values) -> None:
        """Write the values of `ids` as a part; an id that is there already keeps its value.

        Parameters
        ----------
        ids : V16 array of shape (n,)
        values : n numbers, strings or lists, or an array of shape (n, d)

        Raises
        ------
        CatalogError
            If there are not `n` values, one is null, or the shelf holds another type.
        DataError
            If the part cannot be written.
        """
        new = self._todo(ids)
        array = self._checked(values, len(ids))
        if len(new):
            table = pa.table({"id": id_array(ids[new]), "value": array.take(pa.array(new))})
            self._files.write(table, time.time_ns())
            self._files.merge_if_many()

    def get(self, ids: Ids) -> pa.Array:
        """Return the values of `ids`, in their order.

        Only the row groups that hold them are read: quick where ids come in the order in
        which they were put. `numbers` takes half the memory where it applies.

        Raises
        ------
        CatalogError
            If an id has no value.
        """
        return self._when_whole(ids, self._gather)

    def numbers(self, ids: Ids) -> npt.NDArray[Any]:
        """Return the values of `ids` as an array of shape (n,), or (n, d) for vectors.

        Memory beside the result is one row group.

        Raises
        ------
        CatalogError
            If an id has no value, or values are strings or lists.
        """
        numbers: npt.NDArray[Any] = self._when_whole(ids, self._scatter)
        return numbers

    def fill(
        self,
        ids: Ids,
        compute: Callable[[npt.NDArray[np.int64]], Values],
        *,
        batch_rows: int = 256,
        flush_seconds: float = 30.0,
        flush_bytes: int = 64 << 20,
        progress: bool = True,
    ) -> int:
        """Compute the values that are missing, and return how many they were.

        What was computed is flushed as it goes, and when `compute` fails or is
        interrupted: called again, it goes on from there.

        Parameters
        ----------
        ids : V16 array of shape (n,)
            Worked on in this order: sort by length to spare padding.
        compute : function of int64 positions in `ids`
            Returns one value a position. Each different id is asked for once.
        batch_rows : int
            Positions a call.
        flush_seconds, flush_bytes : float, int
            Write a part when either has gone by.
        progress : bool
            Draw a bar on stderr, when that is a terminal.
        """
        self._files.sweep()
        todo = self._todo(ids)
        computed = 0
        with progress_bar(
            total=len(todo), desc=self.feature, unit=" rows", progress=progress
        ) as bar:
            while len(todo):
                done = self._stint(ids, todo, compute, batch_rows, flush_seconds, flush_bytes)
                computed += done
                left = self.missing(ids[todo])  # without what another process has done
                bar.update(len(todo) - int(left.sum()))
                todo = todo[left]
        return computed

    def _todo(self, ids: Ids) -> npt.NDArray[np.int64]:
        """Return where in `ids` each different id that has no value comes first."""
        todo = np.flatnonzero(self.missing(ids))
        return todo[first_of_each(ids[todo])]

    def _stint(
        self,
        ids: Ids,
        todo: npt.NDArray[np.int64],
        compute: Callable[[npt.NDArray[np.int64]], Values],
        batch_rows: int,
        flush_seconds: float,
        flush_bytes: int,
    ) -> int:
        """Compute values in batches until it is time to flush them; return how many."""
        values: list[pa.Array] = []
        done = held = 0
        end = time.monotonic() + flush_seconds
        try:
            while done < len(todo):
                rows = todo[done : done + batch_rows]
                values.append(self._checked(compute(rows), len(rows)))
                done += len(rows)
                held += values[-1].nbytes
                if held >= flush_bytes or time.monotonic() >= end:
                    break
        finally:  # what a failed or interrupted batch followed is not lost
            if values:
                self.put(ids[todo[:done]], pa.concat_arrays(values))
        return done

    def _checked(self, values: Values, rows: int) -> pa.Array:
        """Return `values` as Arrow, when they are what this shelf holds."""
        array = _as_arrow(values)
        where = f"features: '{self.feature}' by '{self.model}'"
        if len(array) != rows:
            raise CatalogError(f"{where}: {len(array)} values for {rows} ids; give one each")
        if array.null_count:
            row = pc.index(array.is_null(), True).as_py()
            raise CatalogError(f"{where}: value {row} is null; give NaN, '' or [] for none")
        if rows and self._kind not in (None, array.type):
            raise CatalogError(
                f"{where}: got {array.type}, but the shelf holds {self._kind}; "
                "give values of another type another name"
            )
        return array

    def drop(self, unwanted: Callable[[Ids, pa.Array], npt.NDArray[np.bool_]]) -> int:
        """Remove values for good, and return how many.

        Parameters
        ----------
        unwanted : function of ids and values, as they lie in a part
            Returns which of them go.
        """
        dropped = 0
        for path in self._files.paths():
            with suppress(GoneError):
                table = self._files.whole(path)
                ids, values = (table[name].combine_chunks() for name in ("id", "value"))
                gone = unwanted(raw_ids(ids), values)
                if not gone.any():
                    continue
                if not gone.all():
                    # Under another name: who has an index of the old part sees it go.
                    self._files.write(table.filter(pa.array(~gone)), int(path.name.split("-")[1]))
                path.unlink(missing_ok=True)
                dropped += int(gone.sum())
        return dropped

    # What is on the shelf

    def _forget(self) -> None:
        self._kind: pa.DataType | None = None
        self._parts: list[_Part] = []
        self._settled = 0  # of them, from the first on, are too large to be merged
        self._places, self._recent = Places(), Places()  # of those, and of the others

    def _forget_recent(self) -> None:
        """Forget what a merge may have moved, and no more: merges are as many as rows are."""
        del self._parts[self._settled :]
        self._recent = Places()

    def _refresh(self) -> None:
        """Bring the index up to the parts that are in the folder now."""
        paths = self._files.paths()
        known = [part.path for part in self._parts]
        if paths[: len(known)] != known:
            if self._settled and paths[: self._settled] == known[: self._settled]:
                self._forget_recent()
            else:
                self._forget()
            return self._refresh()
        try:
            for path in paths[len(known) :]:
                self._add(path)
        except GoneError:
            self._forget()
            return self._refresh()

    def _find(self, ids: Ids) -> npt.NDArray[np.int64]:
        places = self._places.find(ids)
        left = np.flatnonzero(places < 0)
        places[left] = self._recent.find(ids[left])
        return places

    def _add(self, path: Path) -> None:
        """Note where the rows of a part lie, some ids at a time."""
        with self._files.opened(path) as file:
            kind = file.schema_arrow.field("value").type
            self._kind = self._kind or kind
            if kind != self._kind:
                raise pa.ArrowInvalid(f"holds {kind}, the parts before it {self._kind}")
            settled = self._settled == len(self._parts) and not is_small(path)
            places = self._places if settled else self._recent
            groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            starts = np.cumsum([0, *groups])
            place = len(self._parts) << 32
            for batch in file.iter_batches(_IDS_AT_ONCE, columns=["id"]):
                places.add(raw_ids(batch["id"]), np.arange(place, place + len(batch)))
                place += len(batch)
        self._settled += settled
        self._parts.append(_Part(path, starts))

    # Reading

    def _when_whole(self, ids: Ids, read: "Callable[[npt.NDArray[np.int64]], Any]") -> Any:  # noqa: ANN401 - whatever `read` returns
        while True:
            self._refresh()
            places = self._find(ids)
            lacking = int((places < 0).sum())
            if lacking:
                raise CatalogError(
                    f"features: {lacking} of {len(ids)} examples have no '{self.feature}' by "
                    f"'{self.model}'; fill the shelf, and read again"
                )
            try:
                return read(places)
            except GoneError:
                self._forget()

    def _gather(self, places: npt.NDArray[np.int64]) -> pa.Array:
        if not len(places):
            return pa.array([], self._kind)
        rows, values = zip(*self._pieces(places), strict=True)
        back = np.empty(len(places), np.int64)
        back[np.concatenate(rows)] = np.arange(len(places))
        return pa.concat_arrays(values).take(pa.array(back))

    def _scatter(self, places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        kind = self._kind or pa.float64()
        width = kind.list_size if pa.types.is_fixed_size_list(kind) else None
        number = kind.value_type if width is not None else kind
        if not (pa.types.is_floating(number) or pa.types.is_integer(number)):
            raise CatalogError(f"features: '{self.feature}' holds {kind}, no numbers; use get")
        shape = (len(places),) if width is None else (len(places), width)
        numbers = np.empty(shape, number.to_pandas_dtype())
        for rows, values in self._pieces(places):
            flat = values if width is None else values.flatten()
            numbers[rows] = flat.to_numpy().reshape(len(rows), *shape[1:])
        return numbers

    def _pieces(
        self, places: npt.NDArray[np.int64]
    ) -> Iterator[tuple[npt.NDArray[np.int64], pa.Array]]:
        """Yield positions in `places` and their values, a row group at a time."""
        order = np.argsort(places, kind="stable")
        for of_part in _runs(order, places[order] >> 32):
            part = self._parts[int(places[of_part[0]]) >> 32]
            rows = places[of_part] & 0xFFFFFFFF
            groups = np.searchsorted(part.starts, rows, side="right") - 1
            with self._files.opened(part.path) as file:
                for of_group in _runs(np.arange(len(rows)), groups):
                    group = int(groups[of_group[0]])
                    table = file.read_row_group(group, columns=["value"], use_threads=False)
                    take = pa.array(rows[of_group] - part.starts[group])
                    yield of_part[of_group], table["value"].combine_chunks().take(take)


class _Part(NamedTuple):
    """A file, and the row at which each of its row groups starts."""

    path: Path
    starts: npt.NDArray[np.int64]


def _runs(
    items: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]
) -> Iterator[npt.NDArray[np.int64]]:
    """Split `items` wherever the label changes."""
    if len(items):
        yield from np.split(items, np.flatnonzero(np.diff(labels)) + 1)


def _as_arrow(values: Values) -> pa.Array:
    """Return values as one Arrow array; strings and lists with 64-bit offsets."""
    if isinstance(values, np.ndarray) and values.ndim == 2:
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_string(array.type):
        return array.cast(pa.large_string())
    if pa.types.is_list(array.type):
        item = array.type.value_type
        return array.cast(pa.large_list(pa.float64() if pa.types.is_null(item) else item))
    return array


def _folder_name(name: str) -> str:
    """Return a folder's name for any text: readable, safe on any disk, different for each.

    >>> _folder_name("openai:gpt-4o mini/2024")
    'openai-gpt-4o-mini-2024-2f21cc28a8493d13'
    """
    shown = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:60].strip(".-")
    return f"{shown or 'x'}-{blake2b(name.encode(), digest_size=8).hexdigest()}"
