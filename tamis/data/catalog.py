"""The catalogue: SQL over every run, row, score and feature.

    TAMIS_HOME/
        catalog.duckdb                      the index
        runs/<run>/run.json                 one run (`RunRecord`)
        runs/<run>/steps/NN-<method>.parquet    what step NN decided (`Selection.to_arrow`)
        pools/<pool>/examples.parquet       the rows that were chosen from (`write_examples`)
        features/…                          the feature store

Files are the truth. `Catalog` reads them through a DuckDB in memory and never opens
catalog.duckdb, so that reading waits for no one and holds nothing. catalog.duckdb has the
same table of runs and the same views, for DuckDB's own command line and whatever else
reads DuckDB; it is written anew, in one short transaction, with every change of a run,
and can be made again from the files at any time.

runs        run_id, recipe, status, started, finished (UTC), seed, versions, cost, pool,
            settings, error
examples    example_id, run_id, source, prompt, response, text: the rows of a run's pool
scores      run_id, step, method, example_id, score, signals: the rows that a step looked at
selections  run_id, step, method, example_id, kept, rank, reason: the same rows
curated     recipe, run_id, rank, example_id, source, prompt, response, text, score, method:
            what the last step of each recipe's newest finished run kept, best first
features    model, feature, rows, bytes

`signals` has a field for every signal of every method (`signals.log_weight`), null where a
step had none of that name; `cost` and `versions` are maps (`cost['seconds']`).
"""

import json
import random
import re
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self, get_args

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from tamis.data import files, formats
from tamis.data.batches import map_batches
from tamis.data.ids import example_ids, id_texts
from tamis.errors import CatalogError, did_you_mean

__all__ = [
    "Catalog",
    "RunRecord",
    "Status",
    "catalog",
    "rebuild",
    "record_run",
    "runs",
    "write_examples",
]

Status = Literal["running", "done", "failed", "cancelled"]

PATIENCE_SECONDS = 60.0  # for how long a writer waits for whoever holds catalog.duckdb

# A file that is new is of a kind that every DuckDB since 1.0 can read, and stays so.
_READABLE: dict[str, str | bool | int | float | list[str]] = {
    "storage_compatibility_version": "v1.0.0"
}
_writing = threading.Lock()  # a process's threads write one after the other


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What the catalogue knows of a run.

    Parameters
    ----------
    run_id : str
        Also the name of the run's folder.
    recipe : str
        The recipe's name.
    status : str
        'running', 'done', 'failed' or 'cancelled'.
    started, finished : datetime
        With a time zone.
    seed : int, optional
    pool : str, optional
        Key of the pool: its folder's name under `pools`.
    settings : str
        The recipe as it was run.
    versions : dict of str to str
        Of tamis, Python and the packages behind the result.
    cost : dict of str to float
        Seconds, rows, tokens, …
    error : str, optional
        Why it failed, in one line.
    """

    run_id: str
    recipe: str
    status: Status
    started: datetime
    finished: datetime | None = None
    seed: int | None = None
    pool: str | None = None
    settings: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    def __post_init__(self) -> None:
        for what, name in (("run_id", self.run_id), ("pool", self.pool)):
            if name is not None and not _names_a_folder(name):
                raise CatalogError(f"{what}={name!r} cannot name a folder; give it without slashes")
        if self.status not in get_args(Status):
            raise CatalogError(
                f"run {self.run_id}: no status '{self.status}'; "
                f"{did_you_mean(self.status, get_args(Status))}"
            )
        for when in (self.started, self.finished):
            if when is not None and when.tzinfo is None:
                raise CatalogError(f"run {self.run_id}: {when} has no time zone; give one")

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return json.dumps(asdict(self), default=datetime.isoformat, indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the record that `to_json` wrote; keys of later versions are left out."""
        known = {setting.name for setting in fields(cls)}
        values = {name: value for name, value in json.loads(text).items() if name in known}
        for name in ("started", "finished"):
            if values.get(name):
                values[name] = datetime.fromisoformat(values[name])
        return cls(**values)


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
    home = home or files.home()
    with files.written_aside(home / "runs" / run.run_id / "run.json") as aside:
        aside.write_text(run.to_json(), encoding="utf-8")
    rebuild(home)


def runs(home: Path | None = None) -> list[RunRecord]:
    """Return every run, oldest first; a run.json that cannot be read is left out, and named."""
    found = []
    for path in (home or files.home()).glob("runs/*/run.json"):
        try:
            found.append(RunRecord.from_json(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, AttributeError, CatalogError) as error:
            warnings.warn(f"{path}: no record of a run ({error}); left out", stacklevel=2)
    return sorted(found, key=lambda run: (run.started, run.run_id))


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


def write_examples(pool: Dataset, path: Path) -> None:
    """Write the rows of a pool, in its order, as the catalogue reads them.

    Columns are example_id, source (null where the pool has none), prompt, response and
    text. Memory does not grow with the pool.
    """
    text = pa.large_string()
    columns = [("example_id", pa.string())]
    columns += [(name, text) for name in ("source", "prompt", "response", "text")]
    schema = pa.schema(columns)
    ids = example_ids(pool)
    start = 0
    with (
        files.written_aside(path) as aside,
        pq.ParquetWriter(aside, schema, compression="zstd") as writer,
    ):
        for sources, said in map_batches(pool, _said, label="examples"):
            end = start + len(said.text)
            where = pa.nulls(end - start, text) if sources is None else sources
            writer.write_table(pa.table([id_texts(ids[start:end]), where, *said], schema=schema))
            start = end


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
            _check(self._connection, query, self.read_only)
            _define(self._connection, self.home)
            result = self._connection.sql(query)
        except duckdb.Error as error:
            raise CatalogError(f"sql: {_in_one_line(error)}") from error
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
            raise CatalogError(f"sql: {_in_one_line(error)}") from error


class _DamagedError(Exception):
    """catalog.duckdb is not, or no longer, a DuckDB file."""


def _write(home: Path) -> None:
    path = home / "catalog.duckdb"
    with _opened(path) as connection:
        try:
            _define(connection, home)
        except duckdb.Error as error:
            if isinstance(error, duckdb.FatalException | duckdb.InternalException) or (
                "corrupt" in str(error).lower()
            ):
                raise _DamagedError(_in_one_line(error)) from error
            raise CatalogError(f"{path}: {_in_one_line(error)}") from error


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
            reason = _in_one_line(error)
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


# The table and the views


def _define(connection: duckdb.DuckDBPyConnection, home: Path) -> None:
    """Bring the table of runs and the views up to the files: all of them or none."""
    records = runs(home)
    connection.execute("SET enable_progress_bar = false")  # stdout is for results
    try:
        with _transaction(connection):
            _define_from(connection, records, _Sources(home, globbed=True))
    except (duckdb.IOException, duckdb.InvalidInputException):
        # A file is damaged, or the home's name is beyond DuckDB's patterns.
        with _transaction(connection):
            _define_from(connection, records, _Sources(home, globbed=False))


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _define_from(
    connection: duckdb.DuckDBPyConnection, records: list[RunRecord], sources: "_Sources"
) -> None:
    connection.register("_records", _as_table(records))
    connection.execute("CREATE OR REPLACE TABLE runs AS FROM _records")
    connection.unregister("_records")
    for name, query in _views(records, sources).items():
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")


def _views(records: list[RunRecord], sources: "_Sources") -> dict[str, str]:
    finished = [run for run in records if run.status == "done" and run.finished]
    finished.sort(key=lambda run: run.finished or run.started)
    newest = {run.recipe: run for run in finished}  # the last one wins
    steps = _steps(sources.all("runs/*/steps/[0-9]*-*.parquet"))
    examples = _examples(sources.all("pools/*/examples.parquet"))
    last_steps = _steps(sources.listed(sources.last_step(run) for run in newest.values()))
    their_pools = {run.pool for run in newest.values() if run.pool}
    their_examples = _examples(
        sources.listed(sources.home / "pools" / pool / "examples.parquet" for pool in their_pools)
    )
    return {
        "examples": f"""
            SELECT example_id, run_id, source, prompt, response, text
            FROM ({examples}) JOIN runs USING (pool)""",
        "scores": f"SELECT run_id, step, method, example_id, score, signals FROM ({steps})",
        "selections": f"""
            SELECT run_id, step, method, example_id, kept, rank, reason FROM ({steps})""",
        # Of rows with equal content, which share an id, the first one speaks.
        "curated": f"""
            WITH picked AS (
                SELECT recipe, pool, last.* FROM ({last_steps}) AS last JOIN runs USING (run_id)
                WHERE kept
            ), said AS (
                SELECT DISTINCT ON (pool, example_id) * FROM ({their_examples})
                SEMI JOIN picked USING (pool, example_id)
                ORDER BY pool, example_id, row
            )
            SELECT recipe, run_id, rank, example_id, source, prompt, response, text, score, method
            FROM picked LEFT JOIN said USING (pool, example_id)
            ORDER BY recipe, rank""",
        "features": _features(sources.all("features/*/*/part-*.parquet")),
    }


def _steps(found: str | None) -> str:
    """Return a query for the rows of step files; where they lie says whose they are."""
    if found is None:
        return """
            SELECT ''::VARCHAR AS run_id, 0::INTEGER AS step, '' AS method, '' AS example_id,
                true AS kept, 0::BIGINT AS rank, 0::DOUBLE AS score, '' AS reason,
                NULL::STRUCT("none" DOUBLE) AS signals
            WHERE false"""
    return f"""
        SELECT
            regexp_extract(filename, '/([^/]+)/steps/[^/]+$', 1) AS run_id,
            TRY_CAST(regexp_extract(filename, '/([0-9]+)-[^/]+$', 1) AS INTEGER) AS step,
            regexp_extract(filename, '/[0-9]+-([^/]+)[.]parquet$', 1) AS method,
            example_id, kept, rank, score, reason, signals
        FROM read_parquet({found}, union_by_name=true, filename=true, hive_partitioning=false)"""


def _examples(found: str | None) -> str:
    """Return a query for the rows of pools."""
    if found is None:
        return """
            SELECT '' AS pool, 0::BIGINT AS row, '' AS example_id, '' AS source, '' AS prompt,
                '' AS response, '' AS text
            WHERE false"""
    return f"""
        SELECT regexp_extract(filename, '/([^/]+)/examples[.]parquet$', 1) AS pool,
            file_row_number AS row, example_id, source, prompt, response, text
        FROM read_parquet({found}, union_by_name=true, filename=true, file_row_number=true,
            hive_partitioning=false)"""


def _features(found: str | None) -> str:
    """Return a query for the shelves; each part knows the true names of its own."""
    if found is None:
        return (
            "SELECT '' AS model, '' AS feature, 0::BIGINT AS rows, 0::BIGINT AS bytes WHERE false"
        )
    return f"""
        WITH names AS (
            SELECT file_name AS part,
                any_value(decode(value)) FILTER (decode(key) = 'tamis_model') AS model,
                any_value(decode(value)) FILTER (decode(key) = 'tamis_feature') AS feature
            FROM parquet_kv_metadata({found})
            WHERE decode(key) IN ('tamis_model', 'tamis_feature')
            GROUP BY ALL
        ), sizes AS (
            SELECT model, feature, sum(file_size_bytes)::BIGINT AS bytes
            FROM parquet_file_metadata({found}) JOIN names ON part = file_name
            GROUP BY ALL
        ), counts AS (
            SELECT model, feature, count(DISTINCT id) AS rows
            FROM read_parquet({found}, filename=true, hive_partitioning=false)
            JOIN names ON part = filename
            GROUP BY ALL
        )
        SELECT model, feature, rows, bytes FROM counts JOIN sizes USING (model, feature)
        ORDER BY model, feature"""


@dataclass(frozen=True)
class _Sources:
    """Which Parquet files the views read, as DuckDB is told of them.

    Attributes
    ----------
    home : Path
    globbed : bool
        Say them by a pattern, so that a view also shows what is written after it; else one
        by one, without those that cannot be read.
    """

    home: Path
    globbed: bool

    def all(self, pattern: str) -> str | None:
        """Return the files that fit a pattern as a DuckDB literal; None where there are none."""
        if not self.globbed:
            return self.listed(sorted(self.home.glob(pattern)))
        if next(self.home.glob(pattern), None) is None:
            return None
        exactly = re.sub(r"([*?\[])", r"[\1]", str(self.home))
        return _literal(f"{exactly}/{pattern}")

    def listed(self, paths: Iterable[Path | None]) -> str | None:
        """Return those of the files that are there as a DuckDB literal; None for none."""
        there = [path for path in paths if path is not None and self._is_usable(path)]
        return f"[{', '.join(_literal(str(path)) for path in there)}]" if there else None

    def last_step(self, run: RunRecord) -> Path | None:
        """Return the file of the last step of a run."""
        steps = (self.home / "runs" / run.run_id / "steps").glob("[0-9]*-*.parquet")
        return max(steps, key=lambda path: int(path.name.split("-")[0]), default=None)

    def _is_usable(self, path: Path) -> bool:
        if self.globbed or not path.exists():
            return path.exists()
        try:
            pq.read_metadata(path)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            warnings.warn(f"{path}: damaged ({reason}); its rows are left out", stacklevel=2)
            return False
        return True


def _literal(text: str) -> str:
    """Return text as SQL.

    >>> _literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def _as_table(records: list[RunRecord]) -> pa.Table:
    """Return runs as Arrow, times in UTC."""
    schema = pa.schema(
        {
            "run_id": pa.string(),
            "recipe": pa.string(),
            "status": pa.string(),
            "started": pa.timestamp("us"),
            "finished": pa.timestamp("us"),
            "seed": pa.int64(),
            "versions": pa.map_(pa.string(), pa.string()),
            "cost": pa.map_(pa.string(), pa.float64()),
            "pool": pa.string(),
            "settings": pa.string(),
            "error": pa.string(),
        }
    )
    rows = []
    for run in records:
        times = {
            name: when and when.astimezone(UTC).replace(tzinfo=None)
            for name, when in (("started", run.started), ("finished", run.finished))
        }
        maps = {"versions": list(run.versions.items()), "cost": list(run.cost.items())}
        rows.append({**asdict(run), **times, **maps})
    return pa.Table.from_pylist(rows, schema)


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


def _in_one_line(error: Exception) -> str:
    r"""Return what DuckDB says, without the picture.

    >>> _in_one_line(ValueError('Catalog Error: No table x!\nDid you mean "y"?\n\nLINE 1: …'))
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


def _names_a_folder(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not set(name) & {"/", "\\", "\0"}


def _said(batch: pa.Table) -> tuple[pa.LargeStringArray | None, formats.Fields]:
    return formats.sources(batch), formats.fields(batch)
