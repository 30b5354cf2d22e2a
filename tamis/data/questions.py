"""Questions to the catalogue from a page: in bounds of rows, time, memory and files.

A page's reader may be anyone who reaches it, and what they write is SQL. It is answered by
a DuckDB of its own that reads nothing but TAMIS_HOME's Parquet folders, writes nothing,
asks the network for nothing, and ends with the answer.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import duckdb

from tamis.data import files, views
from tamis.data.catalog import in_one_line
from tamis.errors import CatalogError

__all__ = ["Answer", "ask"]

_FOLDERS = ("runs", "pools", "features", "comparisons", "generated")
_BOUNDS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "disabled_optimizers": "'statistics_propagation'",  # as in the catalogue
    "memory_limit": "'2GB'",
    "python_enable_replacements": "false",
    "temp_directory": "''",  # what does not fit is refused, not spilled
}


@dataclass(frozen=True)
class Answer:
    """Some rows of a result, and whether there are more.

    Attributes
    ----------
    rows : list of dictionaries
    more : bool
    """

    rows: list[dict[str, Any]]
    more: bool


def ask(
    query: str,
    values: Mapping[str, object],
    *,
    where: str = "",
    order: str = "",
    most: int,
    skip: int = 0,
    seconds: float = 10.0,
    home: Path | None = None,
) -> Answer:
    """Return rows of a query, of those that a condition is true of.

    Parameters
    ----------
    query : str
        Ours, with `$name` for each of `values`.
    values : mapping
    where : str
        The reader's condition, one expression; subqueries may look at the catalogue's views.
        Without one all rows.
    order : str
        Ours.
    most, skip : int
        How many rows to return, and to leave out before them.
    seconds : float
        After which the query is given up.
    home : Path, optional
        By default `TAMIS_HOME`.

    Raises
    ------
    CatalogError
        If the condition is none, asks for what is out of bounds, or takes too long.
    """
    with _confined(home or files.home()) as connection:
        watch = Timer(seconds, connection.interrupt)
        watch.start()
        try:
            found = connection.sql(query, params=dict(values))
            found = found.filter(where) if where.strip() else found
            found = found.order(order) if order else found
            rows = found.limit(most + 1, skip).fetchall()
        except duckdb.InterruptException as error:
            raise CatalogError(
                f"sql: not answered in {seconds:g} s; ask for less, or use tamis sql"
            ) from error
        except (duckdb.Error, ValueError) as error:
            raise CatalogError(f"sql: {in_one_line(error)}") from error
        finally:
            watch.cancel()
        return Answer(
            [dict(zip(found.columns, row, strict=True)) for row in rows[:most]], len(rows) > most
        )


@contextmanager
def _confined(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB in memory with the catalogue's views, and close all other doors."""
    folders = [str(home / name) for name in _FOLDERS]
    with duckdb.connect() as connection:
        for setting, value in _BOUNDS.items():
            connection.execute(f"SET {setting} = {value}")
        views.define(connection, home)
        connection.execute("SET allowed_directories = ?", [folders])
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
