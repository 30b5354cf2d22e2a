"""Pools by key: each lies whole in `pools/<key>/`, where `key` is a digest of its content."""

from pathlib import Path

from datasets import Dataset

from tamis.data.files import home, written_aside
from tamis.data.load import Source, load, rejected
from tamis.errors import DataError

__all__ = ["file_of", "open_pool", "pool_key", "stored"]


def pool_key(pool: Dataset) -> str:
    """Return the key of a pool that lies in the home folder.

    Raises
    ------
    DataError
        If it does not: it was made or changed in memory. `stored` writes it down.
    """
    if not _lies_whole(pool):
        raise DataError(
            "the pool was made or changed in memory; give it to tamis.data.pools.stored"
        )
    return file_of(pool).parent.name


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


def stored(source: Source) -> Dataset:
    """Return the rows of `source` as a pool that lies whole in the home folder.

    Rows in memory, and those whose columns were renamed, are written down; the rows that
    were set aside when they were read stay with them.
    """
    pool = load(source, progress=False)
    if _lies_whole(pool):
        return pool
    copy = load(pool.flatten_indices().data.table, progress=False)
    aside = rejected(pool)
    path = file_of(copy).with_name("rejected.parquet")
    if len(aside) and not path.exists():
        with written_aside(path) as part:
            aside.to_parquet(part)
    return copy


def file_of(pool: Dataset) -> Path:
    """Return the Arrow file of a pool that lies in the home folder."""
    return Path(pool.cache_files[0]["filename"])


def _lies_whole(pool: Dataset) -> bool:
    files = [Path(file["filename"]) for file in pool.cache_files]
    if pool._indices is not None or len(files) != 1 or files[0].name != "pool.arrow":
        return False
    if files[0].parent.parent != home() / "pools":
        return False
    return bool(pool.column_names == Dataset.from_file(str(files[0])).column_names)
