"""Band keys on Ray: those of one band that are equal come together by a hash shuffle.

The key of each row and band goes to the partition that its hash names. There equal ones are
found by sorting, and only rows that share a key come back: what is alone in every band, most
of a pool, is never brought to one place.
"""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray
import ray.data

from tamis.pipelines.engines.parcels import cells

__all__ = ["BandKeys"]

_PARTITION_KEYS = 4_000_000  # about 70 MB, with their rows and bands
_NOTHING = pa.schema([("band", pa.int16()), ("row", pa.int64()), ("new", pa.bool_())])


class BandKeys:
    """Keys of a pool's rows, in the blocks of a dataset of Ray's.

    Parameters
    ----------
    found : ray.data.Dataset
        A row a block of the pool's rows: `start`, the first of them, and `keys`, those of each
        one after the other.
    n, bands : int
        Rows, and keys of each.
    """

    def __init__(self, found: ray.data.Dataset, n: int, bands: int) -> None:
        self._found, self._n, self._bands = found, n, bands

    def buckets(
        self, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Find which of `rows` share a key with another of them; as `Keys.buckets`."""
        alike = self._alike(rows)
        several = np.zeros(self._n, bool)
        several[alike["row"].to_numpy()] = True
        rows = rows[several[rows]]
        place = np.empty(self._n, np.int64)
        place[rows] = np.arange(len(rows))
        numbered = np.full((len(rows), self._bands), -1, np.int32)
        numbers = np.cumsum(alike["new"].to_numpy(zero_copy_only=False)) - 1
        numbered[place[alike["row"].to_numpy()], alike["band"].to_numpy()] = numbers
        return rows, numbered

    def _alike(self, rows: npt.NDArray[np.int64]) -> pa.Table:
        """Return band and row of each key that is shared, bucket by bucket; `new` begins one."""
        among = np.zeros(self._n, bool)
        among[rows] = True
        if not self._bands or not len(rows):
            return _NOTHING.empty_table()
        how: dict[str, Any] = {"batch_size": None, "batch_format": "pyarrow"}
        pairs = partial(_pairs, ray.put(np.packbits(among)), self._bands)
        partitions = len(rows) * self._bands // _PARTITION_KEYS + 1
        shared = (
            self._found.map_batches(pairs, **how)
            .repartition(partitions, keys=["band", "key"])
            .map_batches(_shared, **how)
        )
        return pa.concat_tables([_NOTHING.empty_table(), *shared.iter_batches(**how)])


def _pairs(among: Any, bands: int, block: pa.Table) -> pa.Table:  # noqa: ANN401 - an ObjectRef
    """Lay the keys of a block, of rows that count, one below the other."""
    wanted = np.unpackbits(ray.get(among))
    columns = []
    for start, content in zip(block["start"].to_pylist(), cells(block["keys"]), strict=True):
        keys = np.frombuffer(content, np.int64).reshape(-1, bands)
        row = np.arange(start, start + len(keys))
        held = wanted[start : start + len(keys)].astype(bool)
        columns.append((keys[held].ravel(), row[held]))
    key, row = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    band = np.tile(np.arange(bands, dtype=np.int16), len(row))
    return pa.table({"band": band, "key": key, "row": np.repeat(row, bands)})


def _shared(block: pa.Table) -> pa.Table:
    """Return which rows of a partition share a key with another, those of a key together."""
    if not block.num_rows:
        return _NOTHING.empty_table()
    band, key, row = (block[name].to_numpy() for name in ("band", "key", "row"))
    order = np.lexsort((row, key, band))
    band, key, row = band[order], key[order], row[order]
    new = np.append(True, (band[1:] != band[:-1]) | (key[1:] != key[:-1]))
    held = ~(new & np.append(new[1:], True))
    return pa.table({"band": band[held], "row": row[held], "new": new[held]}, _NOTHING)
