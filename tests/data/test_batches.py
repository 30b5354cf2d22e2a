import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset

from tamis.data.batches import LocalEngine, map_batches, rows_of, table_of, using
from tamis.data.load import load

ROWS = [{"text": f"row {number}", "n": number} for number in range(25_000)]


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    import os

    before = os.environ.get("TAMIS_HOME")
    os.environ["TAMIS_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield load(ROWS, progress=False)
    os.environ.pop("TAMIS_HOME")
    if before is not None:
        os.environ["TAMIS_HOME"] = before


WAYS = {
    "whole": lambda pool: pool,
    "some rows": lambda pool: pool.select(np.arange(3, 25_000, 7)),
    "one stretch": lambda pool: pool.select(range(11_000, 23_000)),
    "none of the first piece": lambda pool: pool.select([12_000, 12_001, 24_999]),
    "shuffled": lambda pool: pool.shuffle(seed=0),
    "a column": lambda pool: pool.select_columns("n"),
    "renamed": lambda pool: pool.rename_column("text", "prompt"),
    "renamed some": lambda pool: pool.rename_column("text", "prompt").select([5, 9]),
    "chosen twice": lambda pool: pool.select(np.arange(0, 25_000, 2)).select([1, 5, 9]),
    "changed": lambda pool: pool.select([4, 8]).map(lambda row: {"text": row["text"].upper()}),
    "in memory": lambda _: Dataset.from_list(ROWS[:100]),
    "a column put in place of another": lambda pool: pool.remove_columns("n").add_column(
        "n", [7] * len(pool)
    ),
    "no rows": lambda pool: pool.select([]),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("batch_rows", [1, 999, 100_000])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_row_is_met_once_and_in_order(pool, way, batch_rows, workers):
    rows = way(pool)
    if batch_rows == 1 and len(rows) > 5000:
        rows = rows.select(range(50))
    with using(LocalEngine(workers=workers, batch_rows=batch_rows)):
        batches = list(map_batches(rows, lambda batch: batch))
    assert all(0 < batch.num_rows <= batch_rows for batch in batches)
    met = pa.concat_tables(batches).to_pylist() if batches else []
    assert met == rows.with_format(None).to_list()


def test_an_error_in_a_batch_is_raised(pool):
    def fails(batch):
        raise ValueError("no good")

    for workers in (1, 2):
        with (
            using(LocalEngine(workers=workers)),
            pytest.raises(ValueError, match="no good"),
        ):
            list(map_batches(pool, fails))


@pytest.mark.parametrize("form", [None, "arrow"])
def test_rows_are_those_that_select_gives(form):
    pool = Dataset.from_dict({"text": [*"abcdef"], "n": range(6)}).with_format(form)
    for base in (pool, pool.select([4, 1, 5, 0]), pool.select_columns(["n"])):
        for positions in ([2, 0, 0], [1], []):
            wanted = np.array(positions, np.int64)
            found, known = rows_of(base, wanted), base.select(wanted)
            assert found.format == known.format
            assert found.features == known.features
            assert found.with_format(None).to_list() == known.with_format(None).to_list()
            assert found._fingerprint == rows_of(base, wanted)._fingerprint
    assert rows_of(pool, np.array([1]))._fingerprint != rows_of(pool, np.array([2]))._fingerprint


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_table_of_some_rows_is_that_of_the_rows_chosen(way, pool):
    rows = way(pool)
    last = len(rows) - 1
    several = ([last, 0, last // 2, 0], [last]) if len(rows) else ()
    for positions in (*several, [*range(last + 1)], []):
        found = table_of(rows, np.array(positions, np.int64))
        known = rows.select(positions).with_format("arrow")[:]
        assert found.schema == known.schema
        assert found.to_pylist() == known.to_pylist()
        assert all(column.num_chunks <= 1 for column in found.columns)
