import multiprocessing
import random
import time
import warnings
from datetime import UTC, datetime, timedelta, timezone

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

import tamis
from tamis.data import catalog as module
from tamis.data.catalog import RunRecord, catalog, rebuild, record_run, runs
from tamis.data.examples import whole, write_examples
from tamis.data.features import FeatureStore
from tamis.data.formats import fields
from tamis.data.ids import example_ids, id_texts
from tamis.errors import CatalogError
from tamis.selectors.selection import Selection

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
VIEWS = {
    "runs": "run_id recipe status started finished seed versions cost pool settings error",
    "examples": "example_id run_id source prompt response text",
    "scores": "run_id step method example_id score signals",
    "selections": "run_id step method example_id kept rank reason",
    "curated": "recipe run_id rank example_id source prompt response text score method",
    "features": "model feature rows bytes",
}


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def pool():
    words = ["zero", "one", "two", "three"]
    return Dataset.from_dict({"prompt": words, "response": ["said"] * 4, "source": list("aabb")})


def run_of(run_id="r1", **changes):
    record = {"run_id": run_id, "recipe": "lima", "status": "done", "started": NOON, "pool": "p1"}
    return RunRecord(**{**record, "finished": NOON + timedelta(hours=1), **changes})


def write_step(home, pool, name, kept, scores, *, run="r1", **signals):
    """Write what a step decided that kept the rows `kept`, best first."""
    reasons = np.full(len(pool), "dropped", object)
    reasons[kept] = "kept"
    selection = Selection(
        kept, scores, reasons, pa.table(signals), example_ids(pool), name.partition("-")[2]
    )
    selection.save(home / "runs" / run / "steps" / f"{name}.parquet")


def write_run(home, rows, run_id="r1", kept=(2, 0), **changes):
    run = run_of(run_id, **changes)
    write_examples(rows, home / "pools" / run.pool / "examples.parquet")
    write_step(home, rows, "9-random", [0, 1, 2], [4.0, 3, 2, 1], run=run_id)
    scores = [0.5, np.nan, 0.75, 0.1]
    write_step(home, rows, "10-dsir", list(kept), scores, run=run_id, log_weight=scores)
    record_run(run, home)
    return run


def test_is_the_front_door_and_reads_tamis_home(home):
    record_run(run_of())
    assert tamis.catalog().sql("SELECT run_id FROM runs").fetchall() == [("r1",)]
    assert (home / "catalog.duckdb").exists()


@pytest.mark.parametrize("name", VIEWS)
def test_views_have_their_columns_before_there_is_anything(home, name):
    assert catalog(home).sql(f"FROM {name}").columns == VIEWS[name].split()
    assert catalog(home).sql(f"FROM {name}").fetchall() == []
    rebuild(home)
    with duckdb.connect(home / "catalog.duckdb", read_only=True) as file:
        assert file.sql(f"FROM {name}").columns == VIEWS[name].split()


@pytest.mark.parametrize("name", VIEWS)
def test_views_have_the_same_columns_when_there_is_something(home, pool, name):
    write_run(home, pool)
    FeatureStore(home / "features").open("f", "m").put(example_ids(pool), [1.0, 2, 3, 4])
    assert catalog(home).sql(f"FROM {name}").columns == VIEWS[name].split()
    assert catalog(home).sql(f"FROM {name}").fetchall()


def test_a_run_is_read_as_it_was_recorded(home):
    east = timezone(timedelta(hours=2))
    run = run_of(
        recipe='it\'s "lima"\n',
        started=NOON.astimezone(east),
        seed=3,
        versions={"tamis": "0.1"},
        cost={"seconds": 1.5, "rows": 4},
        settings="name: lima\nsteps: ['é']",
        error="a 'quoted' error",
    )
    record_run(run, home)
    assert runs(home) == [run]
    query = "SELECT recipe, started, seed, versions['tamis'], cost['rows'], settings FROM runs"
    recorded = [(run.recipe, NOON.replace(tzinfo=None), 3, "0.1", 4.0, run.settings)]
    assert catalog(home).sql(query).fetchall() == recorded
    with duckdb.connect(home / "catalog.duckdb", read_only=True) as file:
        assert file.sql(query).fetchall() == recorded


def test_a_later_record_of_a_run_takes_the_place_of_the_earlier(home):
    record_run(run_of(status="running", finished=None), home)
    record_run(run_of(status="failed", error="no memory"), home)
    found = catalog(home).sql("SELECT status, error FROM runs").fetchall()
    assert found == [("failed", "no memory")]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"run_id": "../r1"}, "run_id='../r1' cannot name a folder"),
        ({"pool": "a/b"}, "pool='a/b' cannot name a folder"),
        ({"pool": "\ud800"}, "cannot name a folder"),
        ({"run_id": ""}, "run_id='' cannot name a folder"),
        ({"status": "don"}, "run r1: no status 'don'; did you mean 'done'?"),
        ({"started": datetime(2026, 1, 1)}, "run r1: .* has no time zone"),
    ],
)
def test_a_record_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(CatalogError, match=message):
        run_of(**wrong)


def test_every_row_that_a_step_saw_has_a_score_and_a_reason(home, pool):
    write_run(home, pool)
    ids = id_texts(example_ids(pool)).to_pylist()
    scores = catalog(home).sql(
        "SELECT step, method, example_id, score, signals.log_weight FROM scores "
        "WHERE step = 10 AND NOT isnan(score) ORDER BY score"
    )
    assert scores.fetchall() == [
        (10, "dsir", ids[3], 0.1, 0.1),
        (10, "dsir", ids[0], 0.5, 0.5),
        (10, "dsir", ids[2], 0.75, 0.75),
    ]
    selections = catalog(home).sql(
        "SELECT run_id, step, method, kept, rank, reason FROM selections "
        f"WHERE example_id = '{ids[1]}' ORDER BY step"
    )
    assert selections.fetchall() == [
        ("r1", 9, "random", True, 2, "kept"),
        ("r1", 10, "dsir", False, None, "dropped"),
    ]


def test_methods_with_different_signals_stand_in_one_view(home, pool):
    write_step(home, pool, "01-clean", [0], [1.0] * 4, words=[1, 2, 3, 4], language=list("abcd"))
    write_step(home, pool, "02-ts-dshapley", [0], [1.0] * 4)
    write_step(home, pool, "10-dsir", [0], [1.0] * 4, log_weight=[0.5] * 4)
    query = "SELECT method, max(signals.words), max(signals.log_weight) FROM scores GROUP BY ALL"
    found = catalog(home).sql(query).order("method").fetchall()
    assert found == [("clean", 4, None), ("dsir", None, 0.5), ("ts-dshapley", None, None)]


def test_examples_are_those_of_the_pool_of_each_run(home, pool):
    write_run(home, pool, "r1")
    write_run(home, pool, "r2")
    found = catalog(home).sql(
        "SELECT run_id, source, prompt, response, text FROM examples WHERE prompt = 'two'"
    )
    assert found.order("run_id").fetchall() == [
        ("r1", "b", "two", "said", "two\nsaid"),
        ("r2", "b", "two", "said", "two\nsaid"),
    ]


def test_examples_without_a_source_have_none(home):
    write_examples(Dataset.from_dict({"text": ["a"]}), home / "pools" / "p1" / "examples.parquet")
    record_run(run_of(), home)
    found = catalog(home).sql("SELECT source, prompt, response, text FROM examples").fetchall()
    assert found == [(None, "", "", "a")]


def test_examples_keep_the_order_of_the_pool_over_batches(home):
    numbers = [str(n) for n in range(5000)]
    path = home / "examples.parquet"
    write_examples(Dataset.from_dict({"text": numbers}), path)
    table = pq.read_table(path)
    assert table["text"].to_pylist() == numbers
    ids = id_texts(example_ids(Dataset.from_dict({"text": numbers})))
    assert table["example_id"].combine_chunks() == ids


ROWS = {
    "alpaca": {"instruction": "add", "input": "1 2", "output": "3"},
    "pairs": {"prompt": "add 1 2", "response": "3"},
    "no answer": {"prompt": "add 1 2", "response": ""},
    "no question": {"prompt": "", "response": "3"},
    "nothing": {"prompt": "", "response": ""},
    "text": {"text": "1\n2"},
    "messages": {
        "messages": [{"role": "system", "content": "be"}, {"role": "user", "content": "add"},
                     {"role": "assistant", "content": "3"}]
    },
}  # fmt: skip


@pytest.mark.parametrize("form", ROWS)
def test_examples_say_in_sql_and_in_files_what_a_scorer_reads(home, form):
    rows = Dataset.from_list([ROWS[form]] * 2)
    path = home / "pools" / "p1" / "examples.parquet"
    write_examples(rows, path)
    record_run(run_of(), home)
    said = fields(rows.with_format("arrow")[:])
    query = "SELECT prompt, response, text FROM examples"
    expected = [
        (one.as_py(), two.as_py(), three.as_py()) for one, two, three in zip(*said, strict=True)
    ]
    assert catalog(home).sql(query).fetchall() == expected
    assert whole(pq.read_table(path))["text"].to_pylist() == said.text.to_pylist()


def test_curated_is_what_the_newest_finished_run_of_each_recipe_kept(home, pool):
    def at(hour, **changes):
        return {"finished": NOON + timedelta(hours=hour), **changes}

    write_run(home, pool, "new", kept=[2, 0], **at(3))
    write_run(home, pool, "old", kept=[1], **at(2))
    write_run(home, pool, "failed", kept=[3], **at(4, status="failed"))
    write_run(home, pool, "running", kept=[3], status="running", finished=None)
    write_run(home, pool, "other", kept=[3], **at(1, recipe="alpaca"))
    query = "SELECT recipe, run_id, rank, prompt, score, method FROM curated"
    expected = [
        ("alpaca", "other", 1, "three", 0.1, "dsir"),
        ("lima", "new", 1, "two", 0.75, "dsir"),
        ("lima", "new", 2, "zero", 0.5, "dsir"),
    ]
    assert catalog(home).sql(query).fetchall() == expected
    with duckdb.connect(home / "catalog.duckdb", read_only=True) as file:
        assert file.sql(query).fetchall() == expected


def test_curated_has_each_kept_row_once_where_rows_are_equal(home):
    twins = Dataset.from_dict({"text": ["a", "a", "b"], "source": ["x", "y", "z"]})
    write_examples(twins, home / "pools" / "p1" / "examples.parquet")
    write_step(home, twins, "01-random", [1, 0], [1.0, 2.0, 0.0])
    record_run(run_of(), home)
    found = catalog(home).sql("SELECT rank, text, source FROM curated").fetchall()
    assert found == [(1, "a", "x"), (2, "a", "x")]


def test_features_are_counted_by_their_true_names(home, pool):
    ids = example_ids(pool)
    store = FeatureStore(home / "features")
    store.open("embedding", "it's a/model:é").put(ids[:2], np.ones((2, 3), np.float32))
    store.open("embedding", "it's a/model:é").put(ids[2:], np.ones((2, 3), np.float32))
    store.open("rating", "judge").put(ids[:3], ["a", "b", "c"])
    found = catalog(home).sql("FROM features").fetchall()
    sizes = [path.stat().st_size for path in sorted(home.glob("features/*/*/part-*"))]
    assert [row[:3] for row in found] == [
        ("it's a/model:é", "embedding", 4),
        ("judge", "rating", 3),
    ]
    assert [row[3] for row in found] == [sizes[0] + sizes[1], sizes[2]]


@pytest.mark.parametrize("name", ['it\'s a "home"', "[x]*", "数据 {a,b}", "a=1"])
def test_any_name_of_folder_run_and_recipe_is_safe(tmp_path, pool, name):
    home = tmp_path / name
    write_run(tmp_path / "x1", pool)  # its neighbour's rows are not its own
    write_run(home, pool, name, recipe=name, pool=name)
    FeatureStore(home / "features").open(name, name).put(example_ids(pool)[:1], [1.0])
    found = catalog(home).sql("SELECT recipe, run_id, prompt FROM curated").fetchall()
    assert found == [(name, name, "two"), (name, name, "zero")]
    found = catalog(home).sql("SELECT DISTINCT run_id FROM selections").fetchall()
    assert found == [(name,)]
    assert catalog(home).sql("SELECT count(*) FROM examples").fetchall() == [(4,)]
    assert catalog(home).sql("SELECT model, rows FROM features").fetchall() == [(name, 1)]


@pytest.mark.parametrize("name", ["why?", "back\\slash"])
def test_a_home_that_duckdb_cannot_write_to_is_named_and_can_be_read(tmp_path, pool, name):
    with pytest.raises(CatalogError, match=r"catalog.duckdb: DuckDB takes no \? or \\ in a path"):
        write_run(tmp_path / name, pool)
    found = catalog(tmp_path / name).sql("SELECT prompt FROM curated").fetchall()
    assert found == [("two",), ("zero",)]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM selektions", "Table with name selektions does not exist; did you mean "),
        ("SELECT scroe FROM scores", 'column "scroe" not found .*: "score"'),
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("", "0 statements; give one"),
        ("SELECT 1; SELECT 2", "2 statements; give one"),
        ("DELETE FROM runs", "DELETE is more than a question, and the catalogue is read-only"),
        ("CREATE TABLE x AS SELECT 1", "CREATE is more than a question"),
        ("COPY runs TO '{}'", "COPY is more than a question"),
        ("EXPLAIN ANALYZE COPY runs TO '{}'", "COPY is more than a question"),
        ("EXPLAIN (ANALYZE) COPY runs TO '{}'", "COPY is more than a question"),
        ("explain/**/analyze COPY runs TO '{}'", "is more than a question"),
        ("ATTACH 'x.duckdb'", "ATTACH is more than a question"),
        ("SET threads = 1", "SET is more than a question"),
        ("WITH x AS (SELECT 1) INSERT INTO runs FROM x", "INSERT is more than a question"),
    ],
)
def test_a_query_that_cannot_be_is_one_line(home, tmp_path, query, message):
    record_run(run_of(), home)
    target = tmp_path / "stolen.csv"
    with pytest.raises(CatalogError, match=message) as caught:
        catalog(home).sql(query.format(target))
    assert "\n" not in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize(
    "query",
    ["EXPLAIN SELECT 1", "EXPLAIN ANALYZE SELECT 1", "DESCRIBE runs", "SHOW TABLES", "FROM runs;"],
)
def test_questions_of_every_kind_are_answered(home, query):
    record_run(run_of(), home)
    assert catalog(home).sql(query).fetchall()


def test_a_query_sees_no_variable_of_this_program(home):
    with pytest.raises(CatalogError, match="Table with name query does not exist"):
        catalog(home).sql("FROM query")


def test_a_catalogue_that_stays_open_sees_what_comes_and_holds_nothing(home, pool):
    cat = catalog(home)
    kept = cat.sql("SELECT count(*) FROM curated")
    assert cat.sql("FROM runs").fetchall() == []
    write_run(home, pool)
    assert cat.sql("SELECT count(*) FROM curated").fetchall() == [(2,)]
    assert kept.fetchall() == [(2,)]
    assert exit_codes([writer(home, "once", 1)]) == [0]


def test_tables_of_ones_own_stay_in_the_file(home):
    record_run(run_of(), home)
    with catalog(home, read_only=False) as mine:
        mine.sql("CREATE TABLE notes AS SELECT run_id, 'good' AS note FROM runs")
        assert mine.sql("FROM notes JOIN runs USING (run_id) SELECT note").fetchall() == [("good",)]
        record_run(run_of("r2"), home)  # the same process may go on writing
    record_run(run_of("r3"), home)
    with catalog(home, read_only=False) as mine:
        assert mine.sql("FROM notes").fetchall() == [("r1", "good")]
        assert mine.sql("SELECT count(*) FROM runs").fetchall() == [(3,)]


DAMAGES = {
    "emptied": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "overwritten": lambda path: path.write_bytes(b"not a database" * 1000),
    "flipped": lambda path: path.write_bytes(
        path.read_bytes()[:12288] + bytes(255 - b for b in path.read_bytes()[12288:])
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_set_aside_and_made_again(home, pool, damage):
    write_run(home, pool)
    path = home / "catalog.duckdb"
    DAMAGES[damage](path)
    assert catalog(home).sql("SELECT count(*) FROM curated").fetchall() == [(2,)]
    with pytest.warns(UserWarning, match=r"damaged \(.*\); set aside as catalog.duckdb.damaged"):
        record_run(run_of("r2", recipe="other"), home)
    assert len(list(home.glob("catalog.duckdb.damaged-*"))) == 1
    with duckdb.connect(path, read_only=True) as file:
        assert file.sql("SELECT run_id FROM runs").fetchall() == [("r1",), ("r2",)]
        assert file.sql("SELECT count(*) FROM curated").fetchall() == [(2,)]


def test_the_file_is_of_a_kind_that_older_programs_read(home):
    for number in range(2):
        record_run(run_of(f"r{number}"), home)
        # https://duckdb.org/docs/stable/internals/storage: after a checksum and "DUCK" stands
        # the version, 64 for 0.9 to 1.1.
        header = (home / "catalog.duckdb").read_bytes()[8:20]
        assert (header[:4], int.from_bytes(header[4:], "little")) == (b"DUCK", 64)


def test_a_deleted_file_is_made_again_and_readers_do_not_miss_it(home, pool):
    write_run(home, pool)
    (home / "catalog.duckdb").unlink()
    assert catalog(home).sql("SELECT count(*) FROM curated").fetchall() == [(2,)]
    rebuild(home)
    with duckdb.connect(home / "catalog.duckdb", read_only=True) as file:
        assert file.sql("SELECT run_id FROM runs").fetchall() == [("r1",)]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run_id": 1}', "\xff"])
def test_a_damaged_record_is_left_out_and_named(home, text):
    record_run(run_of("good"), home)
    (home / "runs" / "bad").mkdir()
    (home / "runs" / "bad" / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.warns(UserWarning, match=r"bad/run.json: no record of a run .* left out"):
        assert catalog(home).sql("SELECT run_id FROM runs").fetchall() == [("good",)]


def test_a_damaged_step_is_left_out_and_named(home, pool):
    write_run(home, pool, "r1")
    write_run(home, pool, "r2")
    path = home / "runs" / "r2" / "steps" / "9-random.parquet"
    path.write_bytes(path.read_bytes()[:100])
    query = "SELECT run_id, step FROM scores GROUP BY ALL ORDER BY ALL"
    with pytest.warns(UserWarning, match=r"9-random.parquet: damaged .* left out"):
        found = catalog(home).sql(query).fetchall()
    assert found == [("r1", 9), ("r1", 10), ("r2", 10)]
    with pytest.warns(UserWarning, match="9-random.parquet: damaged"):
        record_run(run_of("r3"), home)


def test_records_of_a_later_version_are_read(home):
    record_run(run_of(), home)
    path = home / "runs" / "r1" / "run.json"
    path.write_text(path.read_text().replace("{", '{"colour": "red",', 1))
    assert runs(home) == [run_of()]


# Processes

WRITER = """
from datetime import UTC, datetime
from tamis.data.catalog import RunRecord, record_run
now = datetime.now(UTC)
for number in range(count):
    cost = {"seconds": number, "again": number}
    for status in ("running", "done"):
        record_run(RunRecord(run_id=f"{name}-{number}", recipe=name, status=status, started=now,
            finished=now if status == "done" else None, cost=cost), home)
"""

READER = """
from tamis.data.catalog import catalog
cat = catalog(home)
seen = 0
while not (home / "stop").exists():
    rows = cat.sql("SELECT cost['seconds'], cost['again'], status FROM runs").fetchall()
    assert all(a == b for a, b, _ in rows), rows
    assert sum(status == "done" for *_, status in rows) >= len(rows) - 1, rows
    assert len(rows) >= seen, (len(rows), seen)
    seen = len(rows)
    cat.sql("SELECT count(*) FROM curated").fetchall()
assert seen > 0
"""

HOLDER = """
import duckdb, time
connection = duckdb.connect(home / "catalog.duckdb", read_only=read_only)
connection.execute(query)
(home / "held").touch()
time.sleep(600)
"""

# One process imports tamis, and those of the tests are forked from it: they start at once.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tamis.data.catalog"])


def process(code, **names):
    started = processes.Process(target=exec, args=(code, names), daemon=True)
    started.start()
    return started


def writer(home, name, count):
    return process(WRITER, home=home, name=name, count=count)


def exit_codes(started):
    for one in started:
        one.join()
    return [one.exitcode for one in started]


def holder(home, query="SELECT 1", read_only=False):
    """Start a process that holds the file until it is killed."""
    held = process(HOLDER, home=home, query=query, read_only=read_only)
    while not (home / "held").exists():
        assert held.is_alive()
        time.sleep(0.01)
    return held


def kill(one):
    one.kill()
    one.join()


def in_file(home, query):
    with duckdb.connect(home / "catalog.duckdb", read_only=True) as file:
        return file.sql(query).fetchall()


def test_processes_that_write_at_once_lose_no_run(home):
    writers = [writer(home, name, 8) for name in "abc"]
    assert exit_codes(writers) == [0, 0, 0]
    assert in_file(home, "SELECT count(*) FROM runs WHERE status = 'done'") == [(24,)]


def test_eight_readers_and_a_writer_meet_no_error_and_no_torn_row(home):
    home.mkdir()
    readers = [process(READER, home=home) for _ in range(8)]
    assert exit_codes([writer(home, "w", 10)]) == [0]
    (home / "stop").touch()
    assert exit_codes(readers) == [0] * 8


def test_a_writer_killed_at_any_moment_leaves_a_catalogue_that_works(home):
    chance = random.Random(0)
    before = 0
    for attempt in range(4):
        doomed = writer(home, f"doomed-{attempt}", 10_000)
        while not list(home.glob(f"runs/doomed-{attempt}-*/run.json")):
            time.sleep(0.01)
        time.sleep(chance.random() / 2)
        kill(doomed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            record_run(run_of(f"after-{attempt}"), home)
        count = len(runs(home))
        assert count > before
        before = count
        assert in_file(home, "SELECT count(*) FROM runs") == [(count,)]


def test_a_writer_killed_before_its_first_transaction_leaves_no_file_without_tables(
    home, monkeypatch
):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "define", killed)
        with pytest.raises(KeyboardInterrupt):
            record_run(run_of(), home)
    assert [path.name for path in home.iterdir()] == ["runs"]
    record_run(run_of("r2"), home)
    assert in_file(home, "SELECT run_id FROM runs ORDER BY run_id") == [("r1",), ("r2",)]
    assert sorted(path.name for path in home.iterdir()) == ["catalog.duckdb", "runs"]


def test_a_writer_killed_in_the_middle_of_its_transaction_changes_nothing(home):
    record_run(run_of(), home)
    kill(holder(home, "BEGIN; DELETE FROM runs"))
    assert in_file(home, "SELECT run_id FROM runs") == [("r1",)]
    record_run(run_of("r2"), home)
    assert in_file(home, "SELECT run_id FROM runs") == [("r1",), ("r2",)]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_held_for_too_long_is_named_and_nothing_is_lost(home, monkeypatch, read_only):
    record_run(run_of(), home)
    held = holder(home, read_only=read_only)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(CatalogError, match=r"catalog.duckdb: held for over .*\(PID") as caught:
        record_run(run_of("r2"), home)
    assert "close what holds it" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert catalog(home).sql("SELECT count(*) FROM runs").fetchall() == [(2,)]
    kill(held)
    record_run(run_of("r3"), home)
    assert in_file(home, "SELECT count(*) FROM runs") == [(3,)]


def test_a_writer_waits_for_whoever_holds_the_file(home):
    record_run(run_of(), home)
    held = holder(home)
    waiting = writer(home, "w", 1)
    while not (home / "runs" / "w-0" / "run.json").exists():
        time.sleep(0.01)
    time.sleep(0.1)
    assert waiting.is_alive()
    kill(held)
    assert exit_codes([waiting]) == [0]
    assert in_file(home, "SELECT count(*) FROM runs") == [(2,)]


def test_rows_that_cannot_be_computed_are_one_line(tmp_path):
    with (
        catalog(tmp_path) as opened,
        pytest.raises(CatalogError, match=r"sql: .*Could not convert string 'x'") as raised,
    ):
        opened.table("SELECT CAST(letter AS INTEGER) FROM (VALUES ('x')) AS t(letter)")
    assert "\n" not in str(raised.value)
