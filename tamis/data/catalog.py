"""The catalogue: SQL over every run, row, score and feature.

    TAMIS_HOME/
        catalog.duckdb                      the index
        runs/<run>/run.json                 one run (`RunRecord`)
        runs/<run>/steps/NN-<method>.parquet    what step NN decided (`Selection.to_arrow`)
        pools/<pool>/examples.parquet       the rows that were chosen from (`tamis.data.examples`)
        features/…                          the feature store
        generated/<search>/trajectory.parquet   what a search for an instruction tried

Files are the truth. `Catalog` reads them through a DuckDB in memory and never opens
catalog.duckdb, so that reading waits for no one and holds nothing. catalog.duckdb has the
same table of runs and the same views, for DuckDB's own command line and whatever else
reads DuckDB; it is written anew, in one short transaction, with every change of a run,
and can be made again from the files at any time. What the views show is said in
`tamis.data.views`.
"""

import os
import random
import re
import threading
import time
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa
from datasets import Dataset

from tamis.data import files
from tamis.data.records import RunRecord, Status, runs, write_record
from tamis.data.views import define
from tamis.errors import CatalogError

__all__ = [
    "Catalog",
    "RunRecord",
    "Status",
    "catalog",
    "in_one_line",
    "rebuild",
    "record_run",
    "runs",
]

PATIENCE_SECONDS = 60.0  # for how long a writer waits for whoever holds catalog.duckdb

# A file that is new is of a kind that every DuckDB since 1.0 can read, and stays so.
_READABLE: dict[str, str | bool | int | float | list[str]] = {
    "storage_compatibility_version": "v1.0.0"
}
_writing = threading.Lock()  # a process's threads write one after the other


def record_run(run: RunRecord, home: Path | None = None) -> None:
    """Write what is known of a run, in place of what was known of it before.

    Raises
    ------
    DataError
        If run.json cannot be written.
    CatalogError
        If catalog.duckdb cannot. The run is safe in run.json then, `Catalog` shows it, and
        the next run to be recorded mends the file.
    """
    write_record(run, home)
    rebuild(home)


def rebuild(home: Path | None = None) -> None:
    """Make catalog.duckdb anew from the files; a damaged one is set aside first.

    Raises
    ------
    CatalogError
        If it cannot be written, or another process holds it for longer than a minute.
    """
    home = home or files.home()
    with _writing:
        try:
            _write(home)
        except _DamagedError as damage:
            _set_aside(home / "catalog.duckdb", damage)
            _write(home)


def catalog(home: str | Path | None = None, *, read_only: bool = True) -> "Catalog":
    """Return the catalogue of a TAMIS_HOME.

    Parameters
    ----------
    home : path, optional
        By default `TAMIS_HOME`, or `.tamis` here.
    read_only : bool
        False is for tables and views of your own: see `Catalog`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     catalog(folder).sql("SELECT count(*) FROM curated").fetchall()
    [(0,)]
    """
    return Catalog(Path(home).absolute() if home else files.home(), read_only=read_only)


class Catalog:
    """SQL over the runs, examples, scores, selections and features of one TAMIS_HOME.

    Read-only, it can be kept open for days: it locks nothing, and `sql` looks at the files
    anew each time. With `read_only=False` it is catalog.duckdb itself, which can hold
    tables and views of your own, and no other process opens that before `close` or the end
    of a `with`. Of a damaged file they are not made again.
    """

    def __init__(self, home: Path, *, read_only: bool = True) -> None:
        self.home, self.read_only = home, read_only
        self._connection = duckdb.connect() if read_only else _opened(home / "catalog.duckdb")
        # Names in a query are views, never variables of this program.
        self._connection.execute("SET python_enable_replacements = false")
        # Of a Parquet file without NaN in its statistics it holds that there is none
        # (duckdb/duckdb#25521): `NOT isnan(score)` would keep rows that have no score.
        self._connection.execute("SET disabled_optimizers = 'statistics_propagation'")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """Return the result of one statement, as a relation: `.fetchall()`, `.df()`, and so on.

        Raises
        ------
        CatalogError
            If the statement is wrong, or is more than a question to a read-only catalogue.
        """
        try:
            query.encode()
            _check(self._connection, query, self.read_only)
            define(self._connection, self.home)
            result = self._connection.sql(query)
        except duckdb.Error as error:
            raise CatalogError(f"sql: {in_one_line(error)}") from error
        except UnicodeEncodeError as error:
            raise CatalogError(f"sql: no text ({error.reason}); write it anew") from error
        return self._connection.sql("SELECT 'done' AS status") if result is None else result

    def table(self, query: str) -> pa.Table:
        """Return the rows of one statement, all in memory.

        Raises
        ------
        CatalogError
            As `sql`, and if the rows cannot be computed.
        """
        try:
            return self.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise CatalogError(f"sql: {in_one_line(error)}") from error

    def dataset(self, query: str) -> Dataset:
        """Return the rows of one statement as a Dataset, all in memory; raises as `table`."""
        return Dataset(self.table(query))


class _DamagedError(Exception):
    """catalog.duckdb is not, or no longer, a DuckDB file."""


def _write(home: Path) -> None:
    path = home / "catalog.duckdb"
    if path.exists() or not _laid_down(home, path):
        _bring_up(home, path)


def _laid_down(home: Path, path: Path) -> bool:
    """Make the file aside and link it into place; say whether that went well.

    Whoever is killed meanwhile leaves no file without tables. If another process was first,
    or the disk knows no links, or has no room, the file is to be written where it belongs.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _bring_up(home, aside)
        os.link(aside, path)
    except (OSError, CatalogError, _DamagedError):
        return False
    finally:
        for part in (aside, aside.with_name(f"{aside.name}.wal")):
            with suppress(OSError):
                part.unlink()
    return True


def _bring_up(home: Path, path: Path) -> None:
    """Bring the file's table and views up to the home's files, in one transaction."""
    with _opened(path) as connection:
        try:
            define(connection, home)
        except duckdb.Error as error:
            if isinstance(error, duckdb.FatalException | duckdb.InternalException) or (
                "corrupt" in str(error).lower()
            ):
                raise _DamagedError(in_one_line(error)) from error
            raise CatalogError(f"{path}: {in_one_line(error)}") from error


def _opened(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the file for writing; wait, not in step with others, while somebody holds it."""
    if set(str(path)) & {"?", "\\"}:  # taken for the start of options, and for a slash
        raise CatalogError(f"{path}: DuckDB takes no ? or \\ in a path; set TAMIS_HOME to another")
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + PATIENCE_SECONDS
    pause = 0.01
    while True:
        try:
            return duckdb.connect(path, config={} if path.exists() else _READABLE)
        except duckdb.Error as error:
            reason = in_one_line(error)
            if _is_refused(reason):
                raise CatalogError(f"{path}: cannot be written ({reason}); mend that") from error
            if not (isinstance(error, duckdb.ConnectionException) or "lock on file" in reason):
                raise _DamagedError(reason) from error
            if time.monotonic() > end:
                raise CatalogError(
                    f"{path}: held for over {PATIENCE_SECONDS:.0f} s ({reason}); close what "
                    "holds it, and run again; what was recorded is safe"
                ) from error
        time.sleep(random.uniform(0, pause))
        pause = min(2 * pause, 1.0)


def _set_aside(path: Path, damage: Exception) -> None:
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    with suppress(FileNotFoundError):  # another process was first
        path.replace(aside)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    warnings.warn(
        f"{path}: damaged ({damage}); set aside as {aside.name}, and made again from the runs' "
        "own files",
        stacklevel=3,
    )


# Statements and errors


def _check(connection: duckdb.DuckDBPyConnection, query: str, read_only: bool) -> None:
    """Refuse anything but one statement; of a read-only catalogue, anything but a question."""
    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise CatalogError(f"sql: {len(statements)} statements; give one")
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN:  # EXPLAIN ANALYZE does what it explains
        explained = re.sub(r"(?is)^\s*explain(\s+analyze|\s*\([^)]*\))?\s", "", query)
        kind = connection.extract_statements(explained)[0].type
    if read_only and kind != duckdb.StatementType.SELECT:
        raise CatalogError(
            f"sql: {kind.name} is more than a question, and the catalogue is read-only; "
            "give SELECT, or open it by catalog(read_only=False)"
        )


def in_one_line(error: Exception) -> str:
    r"""Return what DuckDB says, without the picture.

    >>> in_one_line(ValueError('Catalog Error: No table x!\nDid you mean "y"?\n\nLINE 1: …'))
    'No table x; did you mean "y"?'
    """
    said = str(error).split("\n\nLINE ")[0]
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    first = re.sub(r"^[A-Z]\w*( \w+)* Error: ", "", lines[0]).rstrip("!")
    return "; ".join([first, *(line.replace("Did you", "did you") for line in lines[1:])])


def _is_refused(reason: str) -> bool:
    """Return whether the disk, rather than the file, is at fault."""
    faults = (
        "No such file",
        "Permission denied",
        "No space left",
        "Read-only file system",
        "quota exceeded",
    )
    return any(fault in reason for fault in faults)
