"""The catalogue's table of runs, and its views over the Parquet files of a TAMIS_HOME.

runs        run_id, recipe, status, started, finished (UTC), seed, versions, cost, pool,
            settings, error
examples    example_id, run_id, source, prompt, response, text: the rows of a run's pool
scores      run_id, step, method, example_id, score, signals: the rows that a step looked at
selections  run_id, step, method, example_id, kept, rank, reason: the same rows
verdicts    run_id, step, method, example_id, kept, rank, score, reason, signals: both together
curated     recipe, run_id, rank, example_id, source, prompt, response, text, score, method:
            what the last step of each recipe's newest finished run kept, best first
features    model, feature, rows, bytes
comparisons comparison, method, budget, unit, loss, gain, half_width, verdict, accuracy, rows,
            tokens, seconds, …: what `tamis compare` found; of a recipe's, comparison is run_id
trials      comparison, method, seed, budget, unit, loss, rows, tokens, …: one training each
picks       comparison, method, seed, budget, unit, rank, example_id: what they trained on
trajectories  search, method, step, instruction, score, examples, origin, best: every
            instruction that a search for one tried, in order

`signals` has a field for every signal of every method (`signals.log_weight`), null where a
step had none of that name; `cost` and `versions` are maps (`cost['seconds']`).
"""

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tamis.data.examples import TEXT
from tamis.data.records import RunRecord, runs

__all__ = ["define"]


def define(connection: duckdb.DuckDBPyConnection, home: Path) -> None:
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
        "verdicts": steps,
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
        "comparisons": _comparisons(sources.all("comparisons/*/results.parquet"), _RESULTS),
        "trials": _comparisons(sources.all("comparisons/*/trials.parquet"), _TRIALS),
        "picks": _comparisons(sources.all("comparisons/*/picks.parquet"), _PICKS),
        "features": _features(sources.all("features/*/*/part-*.parquet")),
        "trajectories": _trajectories(sources.all("generated/*/trajectory.parquet")),
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
            file_row_number AS row, example_id, source, prompt, response, {TEXT} AS text
        FROM read_parquet({found}, union_by_name=true, filename=true, file_row_number=true,
            hive_partitioning=false)"""


def _trajectories(found: str | None) -> str:
    """Return a query for what searches for an instruction tried."""
    if found is None:
        return """
            SELECT '' AS search, '' AS method, 0::BIGINT AS step, '' AS instruction,
                0::DOUBLE AS score, 0::BIGINT AS examples, '' AS origin, 0::DOUBLE AS best
            WHERE false"""
    return f"""
        SELECT search, method, step, instruction, score, examples, origin, best
        FROM read_parquet({found}, hive_partitioning=false)"""


_COMPARED = {"comparison": "VARCHAR", "method": "VARCHAR", "budget": "BIGINT", "unit": "VARCHAR"}
_COSTS = {
    "tokens": "DOUBLE", "select_seconds": "DOUBLE", "train_seconds": "DOUBLE",
    "rows_scored": "BIGINT", "tokens_read": "BIGINT",
}  # fmt: skip
_RESULTS = _COMPARED | {
    "loss": "DOUBLE", "gain": "DOUBLE", "half_width": "DOUBLE", "verdict": "VARCHAR",
    "accuracy": "DOUBLE", "accuracy_gain": "DOUBLE", "accuracy_half_width": "DOUBLE",
    "rows": "DOUBLE", "trainings": "BIGINT", "picks": "BIGINT", **_COSTS,
}  # fmt: skip
_TRIALS = _COMPARED | {
    "seed": "BIGINT", "loss": "DOUBLE", "accuracy": "DOUBLE", "rows": "BIGINT", **_COSTS,
}  # fmt: skip
_PICKS = _COMPARED | {"seed": "BIGINT", "rank": "BIGINT", "example_id": "VARCHAR"}


def _comparisons(found: str | None, columns: dict[str, str]) -> str:
    """Return a query for a table of all comparisons, with these columns and types."""
    if found is None:
        nothing = (f"NULL::{kind} AS {name}" for name, kind in columns.items())
        return f"SELECT {', '.join(nothing)} WHERE false"
    typed = (f"{name}::{kind} AS {name}" for name, kind in columns.items())
    return f"""
        SELECT {", ".join(typed)}
        FROM read_parquet({found}, union_by_name=true, hive_partitioning=false)"""


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
