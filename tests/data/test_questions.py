import time

import pytest
from offline import ran

from tamis.data.questions import ask
from tamis.errors import CatalogError

ALL = "SELECT step, example_id, kept, score FROM verdicts WHERE run_id = $run"


@pytest.fixture
def run(tmp_path):
    rows = "".join(f'{{"prompt": "say {n}", "completion": "{n} it is"}}\n' for n in range(20))
    (tmp_path / "pool.jsonl").write_text(rows)
    return ran(f"name: mine\npool: {tmp_path}/pool.jsonl\nsteps: [{{random: {{k: 5}}}}]\n").id


def test_returns_so_many_rows_and_says_whether_there_are_more(run):
    first = ask(ALL, {"run": run}, order="score DESC", most=12)
    rest = ask(ALL, {"run": run}, order="score DESC", most=12, skip=12)
    assert (len(first.rows), first.more, len(rest.rows), rest.more) == (12, True, 8, False)
    scores = [row["score"] for row in first.rows + rest.rows]
    assert scores == sorted(scores, reverse=True)


def test_a_condition_chooses_and_may_look_at_other_views(run):
    assert len(ask(ALL, {"run": run}, where="kept", most=99).rows) == 5
    curated = "example_id IN (SELECT example_id FROM curated WHERE rank = 1)"
    assert len(ask(ALL, {"run": run}, where=curated, most=99).rows) == 1
    assert len(ask(ALL, {"run": run}, where="  ", most=99).rows) == 20


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("kept; DROP TABLE runs", "sql: "),
        ("true) UNION ALL SELECT 1, '', true, 1 --", "sql: "),
        ("true, true", "sql: "),
        ("nokolumn > 1", "nokolumn"),
        ("'x' IN (SELECT content FROM read_text('{secret}'))", "Cannot access file"),
        ("'x' IN (SELECT file FROM glob('{folder}/*'))", "Cannot access file"),
        ("1 IN (SELECT 1 FROM 'https://127.0.0.1:9/x.parquet')", "Cannot access file"),
        ("1 IN (SELECT 1 FROM sqlite_scan('x', 'y'))", "sqlite_scan"),
        ("'x' IN (SELECT getenv('HOME'))", "getenv"),
        ("length(repeat('x', 1000000) || repeat(example_id, 200000000)) > 1", "sql: "),
    ],
)
def test_what_is_out_of_bounds_is_refused_in_one_line(run, tmp_path, where, why):
    (tmp_path / "secret.txt").write_text("x")
    where = where.replace("{secret}", f"{tmp_path}/secret.txt").replace("{folder}", str(tmp_path))
    with pytest.raises(CatalogError, match=why) as refused:
        ask(ALL, {"run": run}, where=where, most=9)
    assert "\n" not in str(refused.value)


def test_a_question_without_end_is_given_up(run):
    endless = "(SELECT count(*) FROM range(100000000000) a, range(1000) b) > 1"
    start = time.monotonic()
    with pytest.raises(CatalogError, match=r"not answered in 0\.3 s"):
        ask(ALL, {"run": run}, where=endless, most=9, seconds=0.3)
    assert time.monotonic() - start < 60


def test_a_home_without_runs_has_no_rows(tmp_path):
    assert ask(ALL, {"run": "x"}, most=9, home=tmp_path / "it's new").rows == []
