"""The explorer's answers, without a browser."""

import re

import pytest
from browsing import HOSTILE
from starlette.testclient import TestClient

from tamis.pipelines.runs import find
from tamis.ui.app import explorer
from tamis.ui.map import pool_map
from tamis.ui.rows import PAGE_ROWS, row_page

SMALL, NEWER, HARM = (f"2026010{n}-000000-{name}-000{n}"
                      for n, name in ((1, "small"), (2, "small"), (3, "hostile")))  # fmt: skip


@pytest.fixture
def client():
    return TestClient(explorer(), base_url="http://127.0.0.1:8585", raise_server_exceptions=False)


def test_lists_the_runs_newest_first(client):
    said = client.get("/").text
    assert re.findall(r'<a href="/runs/([^"]+)">', said) == [HARM, NEWER, SMALL]
    assert "30<small>of 61</small>" in said


def test_a_home_where_nothing_ran_says_how_to_begin(client, tmp_path, monkeypatch):
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path / "new"))
    assert "tamis run curate" in client.get("/").text
    assert client.get("/compare").status_code == 200


def test_a_run_s_steps_have_their_figures_and_a_reason_leads_to_its_rows(client):
    page = client.get(f"/runs/{SMALL}").text
    assert "<b>30</b> of 61 rows kept" in page
    (of_clean, _) = re.findall(r'href="([^"]+where[^"]+)"', page)
    assert find(SMALL).outcomes[0].kept == 60
    found = client.get(of_clean.replace("&amp;", "&")).text
    assert found.count('<li class="example">') == 1
    assert "by step 1 clean" in found


@pytest.mark.parametrize("step", [None, 1, 2])
def test_pages_of_rows_show_every_row_once(step):
    run, pages, more = find(SMALL), [], True
    while more:
        page = row_page(run, step=step, page=len(pages) + 1)
        pages.append(page.rows)
        more = page.more
    rows = [row.id for page in pages for row in page]
    assert len(rows) == len(set(rows)) == {None: 61, 1: 61, 2: 60}[step]
    assert [len(page) for page in pages[:-1]] == [PAGE_ROWS] * (len(pages) - 1)
    kept = [row.id for page in pages for row in page if row.rank]
    assert kept[:30] == find(SMALL).dataset["tamis_id"][:] or step == 1


def test_copies_of_one_row_are_shown_once_with_the_word_that_got_furthest(tmp_path):
    from offline import ran

    row = '{"prompt": "say it", "completion": "it is said"}\n'
    (tmp_path / "pool.jsonl").write_text(row * 3)
    steps = "[{deduplicate: {}}, {random: {k: 1}}]"
    run = ran(f"name: copies\npool: {tmp_path}/pool.jsonl\nsteps: {steps}\n", "0-copies")
    try:
        (only,) = row_page(run).rows
        assert (only.step, only.rank) == ("2 random", 1)
    finally:
        import shutil

        shutil.rmtree(run.folder)


def test_a_condition_that_is_wrong_is_told_beside_the_form(client):
    answer = client.get(f"/runs/{SMALL}/rows", params={"where": "scor > 1"})
    assert answer.status_code == 400
    assert "scor" in re.search(r'id="wrong"[^>]*>([^<]+)<', answer.text)[1]
    assert 'value="scor &gt; 1"' in answer.text


def test_a_row_is_shown_whole_with_every_verdict(client):
    kept = find(SMALL).dataset[0]
    page = client.get(f"/runs/{SMALL}/rows/{kept['tamis_id']}").text
    assert page.count('<th scope="row">') == 2
    assert kept["output"] in page


def test_two_runs_are_compared(client):
    page = client.get("/compare", params={"before": SMALL, "after": NEWER}).text
    assert "<b>30</b> rows stayed, <b>2</b> came in, <b>0</b> left" in page
    assert page.count('<li class="example">') == 2
    assert page.count(" selected>") == 2


def test_the_map_marks_each_row_that_has_words_kept_or_not():
    run = find(SMALL)
    drawn = pool_map(run)
    ids = dict(zip(run.selection.ids.tolist(), run.selection.kept.tolist(), strict=True))
    assert {mark.id: mark.kept for mark in drawn.marks} == {i.hex(): k for i, k in ids.items()}
    assert (drawn.kept, drawn.dropped, drawn.count(kept=True)) == (30, 31, 30)
    assert [mark.kept for mark in drawn.marks] == [False] * 31 + [True] * 30
    assert all(0 <= mark.x <= 1000 and 0 <= mark.y <= 640 for mark in drawn.marks)
    assert 0 < drawn.shares[1] <= drawn.shares[0] <= 1


def test_of_many_rows_the_map_draws_as_many_of_the_kept_as_of_the_dropped(monkeypatch):
    monkeypatch.setattr("tamis.ui.map.EACH", 7)
    drawn = pool_map(find(SMALL))
    assert (drawn.count(kept=True), drawn.count(kept=False)) == (7, 7)
    lowest = sorted(row for row, mark in ((m.id, m) for m in pool_map(find(NEWER)).marks))
    assert len(lowest) == 14


def test_a_report_is_given_as_it_lies_there(client):
    from tamis.report.of_run import write_run_report

    assert client.get(f"/runs/{SMALL}/report").status_code == 404
    page = write_run_report(find(SMALL))
    answer = client.get(f"/runs/{SMALL}/report")
    assert answer.content == page.read_bytes()
    assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"  # it has its own


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nowhere", 404),
        ("/runs/none", 404),
        (f"/runs/{SMALL}/rows/zz", 404),
        (f"/runs/{SMALL}/rows?page=0", 404),
        (f"/runs/{SMALL}/rows?step=1e9", 404),
        ("/compare?before=x&after=y", 404),
        ("/runs/..%2f..%2fetc", 404),
        ("/templates/base.html", 404),
    ],
)
def test_what_is_not_there_is_an_error_page_in_one_line(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status
    assert len(re.findall(r'class="error"', answer.text)) == 1
    assert "Traceback" not in answer.text


def test_a_defect_shows_no_traceback(client, monkeypatch):
    def broken():
        raise ZeroDivisionError("secret of the house")

    monkeypatch.setattr("tamis.ui.pages.runs", broken)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "secret of the house" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_reading_is_answered(client, method):
    assert client.request(method, "/").status_code == 405


def test_hostile_rows_are_escaped_on_every_page(client):
    ids = [mark.id for mark in pool_map(find(HARM)).marks]
    paths = ["/", f"/runs/{HARM}", f"/runs/{HARM}/rows", f"/runs/{HARM}/map"]
    for path in [*paths, *(f"/runs/{HARM}/rows/{row}" for row in ids)]:
        page = client.get(path).text
        assert not re.search(r"<(img|svg/|iframe)", page)
        scripts = re.findall(r"<script[^>]*>", page)
        assert scripts in ([], ['<script src="/map.js" defer>']), path
        assert "{{7*7}}" in page or path in ("/", f"/runs/{HARM}") or "/rows/" in path
    where = HOSTILE[1]
    assert HOSTILE[1] not in client.get(f"/runs/{HARM}/rows", params={"where": where}).text
