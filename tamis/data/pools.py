"""Pools by key: each lies whole in `pools/<key>/`, where `key` is a digest of its content."""

from pathlib import Path

from datasets import Dataset

from tamis.data.files import home
from tamis.data.load import Source, load
from tamis.errors import DataError

__all__ = ["open_pool", "pool_key", "stored"]


def pool_key(pool: Dataset) -> str:
    """Return the key of a pool that lies in the home folder.

    Raises
    ------
    DataError
        If it does not: it was made or changed in memory. `stored` writes it down.
    """
    if not _lies_whole(pool):
        raise DataError("the pool was made or changed in memory; give it to tamis.data.pools.stored")
    return Path(pool.cache_files[0]["filename"]).parent.name


def open_pool(key: str) -> Dataset:
    """Return the pool with this key, memory-mapped.

    Raises
    ------
    DataError
        If it is not in the home folder.
    """
    path = home() / "pools" / key / "pool.arrow"
    if not path.exists():
        raise DataError(f"pool {key}: not in {home()}; load its file again")
    return Dataset.from_file(str(path))


def stored(source: Source) -> Path:
    """Write rows in memory down, unless they lie in a file; return the file, for `load`."""
    pool = load(source, progress=False)
    if not _lies_whole(pool):
        pool = load(pool.flatten_indices().data.table, progress=False)
    return Path(pool.cache_files[0]["filename"])


def _lies_whole(pool: Dataset) -> bool:
    files = [Path(file["filename"]) for file in pool.cache_files]
    if pool._indices is not None or len(files) != 1 or files[0].name != "pool.arrow":
        return False
    if files[0].parent.parent != home() / "pools":
        return False
    return pool.column_names == Dataset.from_file(str(files[0])).column_names
