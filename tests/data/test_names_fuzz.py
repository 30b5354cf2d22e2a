"""Whatever things are called, the catalogue keeps them apart, or refuses them in a line."""

from datetime import UTC, datetime

import pyarrow as pa
from datasets import Dataset
from fuzzing import a_line_at_most, files_below, odd_texts, tries
from hypothesis import given
from hypothesis import strategies as st

from tamis.data.catalog import RunRecord, catalog, record_run
from tamis.data.examples import write_examples
from tamis.data.ids import example_ids
from tamis.data.records import runs
from tamis.selectors.selection import KEPT, Selection

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
POOL = Dataset.from_dict({"prompt": ["a"], "response": ["b"]})
names = odd_texts | st.sampled_from(
    ["..", ".", "a/b", "a\\b", "*", "[x]", "a'b", "x" * 300, "数据"]
)
words = odd_texts.filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text))


@tries(60)
@given(names, names, words, words)
def test_any_name_is_kept_or_refused(tmp_path_factory, run_id, pool, recipe, error):
    folder = tmp_path_factory.mktemp("names")
    home = folder / "deep" / "home"
    with a_line_at_most():
        run = RunRecord(
            run_id=run_id, recipe=recipe, status="done", started=NOON, finished=NOON, pool=pool,
            error=error, settings=recipe, versions={error: recipe}, cost={recipe: 1.0},
        )  # fmt: skip
        write_examples(POOL, home / "pools" / pool / "examples.parquet")
        selection = Selection(
            [0], [1.0], [KEPT], pa.table({"draw": [0.5]}), example_ids(POOL), "random"
        )
        selection.save(home / "runs" / run_id / "steps" / "01-random.parquet")
        record_run(run, home)
        assert runs(home) == [run]
        told = "SELECT run_id, recipe, prompt, score FROM curated"
        assert catalog(home).sql(told).fetchall() == [(run_id, recipe, "a", 1.0)]
        assert catalog(home).sql("SELECT error, pool FROM runs").fetchall() == [(error, pool)]
    assert all(home in path.parents for path in files_below(folder))


@tries(60)
@given(st.lists(st.sampled_from(
    ["SELECT", "*", "FROM runs", "curated", "WHERE", "1", "=", "'", '"', "--", ";", "(", ")", "/*",
     "COPY", "TO", "ATTACH", "'up.db'", "INSTALL", "PRAGMA", "SET", "CREATE TABLE x AS", "EXPLAIN",
     "EXPORT DATABASE", "'out'", "$1", "?", "::INTEGER", "UNION", "\0", "[", "x:"]
) | odd_texts, max_size=7).map(" ".join))  # fmt: skip
def test_any_question_is_answered_or_refused_and_writes_nothing(tmp_path, query):
    with a_line_at_most():
        catalog(tmp_path).table(query)
    assert files_below(tmp_path) == set()
