"""The queries of docs/sql.md are asked, of a catalogue that holds two runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from offline import ran

import tamis
from tamis.data.catalog import catalog, rebuild

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)
RECIPE = "name: {}\npool: {}\nsteps:\n  - clean\n  - random: {{k: {}}}\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two runs over a pool of thirty rows, made once."""
    folder = tmp_path_factory.mktemp("queries")
    rows = [
        {"instruction": f"say {n} aloud", "output": f"it is the number {n}", "source": "ab"[n % 2]}
        for n in range(30)
    ]
    rows.append({"instruction": "x", "output": "", "source": "b"})
    rows += [rows[3]] * 3  # copies, which no query may count twice over
    (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAMIS_HOME", str(folder / "home"))
        ran(RECIPE.format("mine", folder / "pool.jsonl", 5))
        ran(RECIPE.format("mine", folder / "pool.jsonl", 8))
        from doubles import Letters

        from tamis.models.cached import embeddings

        embeddings(tamis.load(folder / "pool.jsonl"), Letters(), progress=False)
        rebuild()
    return folder / "home"


def test_there_are_ten():
    assert len(QUERIES) == 10


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.split("\n")[0][:40])
def test_a_query_of_the_page_has_an_answer(home, query):
    opened = catalog(home)
    answer = opened.table(query)
    assert answer.num_rows
    file = str(home / "catalog.duckdb")
    with duckdb.connect(file, read_only=True) as own:  # as DuckDB's own command line does
        assert len(own.execute(query).fetchall()) == answer.num_rows


def test_the_views_of_the_page_are_those_there_are(home):
    said = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", PAGE, flags=re.MULTILINE))
    there = {name for (name,) in catalog(home).sql("SHOW TABLES").fetchall()}
    assert set(said) <= there
    for name, columns in said.items():
        listed = [column.strip() for column in columns.replace("(UTC)", "").split(",")]
        assert catalog(home).sql(f"FROM {name}").columns == listed


def test_the_newest_rows_are_those_that_the_second_run_added(home):
    came = next(query for query in QUERIES if "EXCEPT" in query)
    assert catalog(home).table(came).num_rows == 3  # 8, of which 5 were there


def test_copies_are_not_multiplied(home):
    missed = next(query for query in QUERIES if "LIMIT 10" in query and "last_step" in query)
    for query in (missed, missed.replace("NOT kept", "kept OR NOT kept").replace("LIMIT 10", "")):
        ids = catalog(home).table(query)["example_id"].to_pylist()
        assert len(set(ids)) == len(ids)
    share = next(query for query in QUERIES if "WITH sources" in query)
    counted = share.replace("round(avg(kept::INTEGER), 3)", "count(*)")
    seen = catalog(home).sql("SELECT step, count(*) FROM verdicts GROUP BY ALL ORDER BY 1")
    in_all = catalog(home).sql(
        f"SELECT step, sum(kept)::BIGINT FROM ({counted}) GROUP BY ALL ORDER BY 1"
    )
    assert in_all.fetchall() == seen.fetchall()


def test_any_query_becomes_a_dataset(home):
    rows = catalog(home).dataset("SELECT example_id, score FROM curated ORDER BY rank")
    assert len(rows) == 8
    assert rows["score"][0] == max(rows["score"][:])


@pytest.mark.parametrize("suffix", ["parquet", "jsonl.zst", "csv"])
def test_any_query_becomes_a_file(home, tmp_path, suffix, monkeypatch):
    monkeypatch.setenv("TAMIS_HOME", str(home))
    out = tmp_path / f"kept.{suffix}"
    command = [sys.executable, "-m", "tamis.cli", "sql", "SELECT prompt, response FROM curated"]
    done = subprocess.run([*command, "-o", str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(tamis.load(out)) == 8
