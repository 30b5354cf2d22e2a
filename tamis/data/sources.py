"""What a source means: a file, a folder or a glob, a data set of the hub, rows in memory."""

import glob
from collections.abc import Callable, Iterator
from hashlib import blake2b
from io import RawIOBase
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from tamis.data.hub import may_pass
from tamis.data.pieces import Columns, Piece, Rows, Unreadable, shown
from tamis.data.readers import KINDS, PACKINGS
from tamis.errors import DataError, NoSuchFileError, did_you_mean

__all__ = ["HUB", "File", "digest", "find", "hub_rows", "in_memory", "kind_of", "rows_digest"]

HUB = "hf://"
"""What the name of a data set on the hub begins with."""

_ALSO = {"ndjson": "jsonl"}
_BLOCK = 2**22
_HUB_ROWS = 1000


class File(NamedTuple):
    """A file to read.

    Attributes
    ----------
    path : Path
    kind : str
        One of 'jsonl', 'json', 'csv', 'parquet', 'arrow'.
    packing : str
        'gz', 'zst' or ''.
    """

    path: Path
    kind: str
    packing: str


def find(name: str | Path) -> list[File]:
    """Return the files that a name means, sorted.

    Of a folder those at any depth whose kind is known, but none that is hidden.

    Raises
    ------
    DataError
        If there is none; the nearest name is said.
    """
    path = Path(name)
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.is_file() and not _hidden(p, path))
        files = [File(p, *kind) for p in inside if (kind := kind_of(p)) is not None]
        if not files:
            raise DataError(f"{path}: no data in this folder; what is read are {_all_kinds()}")
        return files
    if path.is_file():
        return [_known(path)]
    if glob.has_magic(str(name)):
        names = sorted(glob.glob(str(name), recursive=True))  # noqa: PTH207 - it takes full paths
        files = [_known(Path(name)) for name in names if Path(name).is_file()]
        if not files:
            raise NoSuchFileError(f"{name}: no file has such a name")
        return files
    raise NoSuchFileError(f"{path}: no such file{_nearest(path)}")


def kind_of(path: Path) -> tuple[str, str] | None:
    """Return kind and packing of a file by its name; None for one that is not read.

    >>> kind_of(Path("data/alpaca.v2.jsonl.zst"))
    ('jsonl', 'zst')
    """
    packing = path.suffix[1:].lower()
    if packing in PACKINGS:
        path = path.with_suffix("")
    else:
        packing = ""
    suffix = path.suffix[1:].lower()
    kind = _ALSO.get(suffix, suffix)
    return (kind, packing) if kind in KINDS else None


def digest(files: list[File], rule: str) -> str:
    """Return a digest of the kinds and bytes of files, and of the rule by which they are read.

    Where they lie, and how they are called, is no part of it: content decides.
    """
    content = blake2b(rule.encode(), digest_size=16)
    for file in files:
        size = file.path.stat().st_size
        content.update(f"\0{file.kind}\0{file.packing}\0{size}\0".encode())
        with file.path.open("rb", buffering=0) as opened:
            while block := opened.read(_BLOCK):
                content.update(block)
    return content.hexdigest()


def hub_rows(name: str) -> tuple[str, Callable[[], Iterator[Piece]]]:
    """Return the key of a data set of the hub, and what reads it from its first row.

    Parameters
    ----------
    name : str
        "hf://org/name" or "hf://org/name:split"; without a split, 'train' is read.

    Raises
    ------
    DataError
        If the hub cannot be reached, or has no such data set or split.
    """
    import datasets
    from huggingface_hub import HfApi

    repository, _, split = name.removeprefix(HUB).partition(":")
    try:
        revision = HfApi().dataset_info(repository).sha
        stream = datasets.load_dataset(
            repository, split=split or "train", revision=revision, streaming=True
        )
    except Exception as error:  # whatever a network and a stranger's data can raise
        raise _not_given(name, error) from error

    def pieces() -> Iterator[Piece]:
        row = 1
        tables = stream.with_format("arrow").iter(batch_size=_HUB_ROWS)
        while True:
            try:
                table = next(tables, None)
            except Exception as error:
                raise _not_given(name, error) from error
            if table is None:
                return
            yield Columns(range(row, row + table.num_rows), table)
            row += table.num_rows

    return blake2b(f"{name}\0{revision}".encode(), digest_size=16).hexdigest(), pieces


def _not_given(name: str, error: Exception) -> DataError:
    refusal = DataError(
        f"{name}: the hub gives no such data ({_one_line(error)}); check the name, the "
        "split and the network, or give a file"
    )
    refusal.retryable = may_pass(error)
    return refusal


def in_memory(source: object) -> tuple[str, list[Piece]]:
    """Return what to call rows in memory, and the rows.

    Raises
    ------
    DataError
        If `source` is nothing that has rows.
    """
    if isinstance(source, pa.Table):
        return "the Table", [Columns(range(1, source.num_rows + 1), source)]
    if isinstance(source, pd.DataFrame):
        try:
            table = pa.Table.from_pandas(source, preserve_index=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return "the DataFrame", _objects(source.to_dict("records"))
        return "the DataFrame", in_memory(table.replace_schema_metadata())[1]
    if isinstance(source, list):
        return "the list", _objects(source)
    raise DataError(
        f"a {type(source).__name__} cannot be read; give a path, a Dataset (of a DatasetDict "
        "one split), a pyarrow.Table, a pandas.DataFrame or a list of dicts"
    )


def rows_digest(pieces: list[Piece], rule: str) -> str:
    """Return a digest of rows in memory, and of the rule by which they are read."""
    content = blake2b(rule.encode(), digest_size=16)
    for piece in pieces:
        if isinstance(piece, Columns):
            with pa.ipc.new_stream(pa.PythonFile(_Digesting(content)), piece.table.schema) as sink:
                sink.write_table(piece.table)
        else:
            content.update(repr(piece).encode(errors="surrogatepass"))
    return content.hexdigest()


class _Digesting(RawIOBase):
    """A file that only keeps the digest of what is written to it."""

    def __init__(self, content: blake2b) -> None:
        self._content = content

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        self._content.update(data)
        return len(memoryview(data).cast("B"))


def _objects(values: list[Any]) -> list[Piece]:
    """Return rows of Python objects, as columns where they agree on types."""
    wrong = [
        Unreadable(number, "not a dict with names for its values", shown(repr(value)))
        for number, value in enumerate(values, start=1)
        if not _is_row(value)
    ]
    if not wrong:
        try:
            table = pa.Table.from_struct_array(pa.array(values))
        except (pa.ArrowException, OverflowError, UnicodeError, TypeError):
            pass
        else:
            return [Columns(range(1, len(values) + 1), table)]
    there = [(n, value) for n, value in enumerate(values, start=1) if _is_row(value)]
    return [*wrong, Rows([n for n, _ in there], [value for _, value in there])]


def _is_row(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _known(path: Path) -> File:
    kind = kind_of(path)
    if kind is None:
        raise DataError(f"{path}: not a kind of file that is read; give {_all_kinds()}")
    return File(path, *kind)


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f", and no folder {path.parent}"
    names = [p.name for p in path.parent.iterdir() if p.is_dir() or kind_of(p) is not None]
    return f"; {did_you_mean(path.name, names)}" if names else ""


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def _all_kinds() -> str:
    return f"{', '.join(f'.{kind}' for kind in KINDS)}, each also .gz or .zst"
