"""Whatever is asked of the explorer, it answers with a page, never with a defect."""

from urllib.parse import quote

import pytest
from fuzzing import odd_texts, tries
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tamis.ui.app import explorer

SMALL = "20260101-000000-small-0001"
BITS = [
    "kept", "score > -1", "NOT", "AND", "1=1", "signals", "signals.draw", "'", '"', ";", "--", "/*",
    "(SELECT 1)", ")", "(", "read_text('/etc/passwd')", "step", "::INTEGER", "1/0", "NULL",
    "[", "?",
]  # fmt: skip
conditions = st.lists(st.sampled_from(BITS) | odd_texts, max_size=5).map(" ".join)
numbers = st.integers().map(str) | st.sampled_from(
    ["", "0", "1", "1e9", "٣", "9" * 5000, "x", "-1"]
)
sendable = odd_texts.map(lambda text: text.encode("utf-8", "replace").decode()[:2000])


@pytest.fixture(scope="module")
def client():
    return TestClient(explorer(), base_url="http://127.0.0.1:8585", raise_server_exceptions=False)


def check(answer):
    assert answer.status_code in (200, 400, 404, 405), answer.status_code
    assert "Traceback" not in answer.text
    assert "root:" not in answer.text


@tries(60)
@given(conditions, numbers, numbers)
def test_any_condition_is_answered(client, where, step, page):
    where = where.encode("utf-8", "replace").decode()
    check(
        client.get(
            f"/runs/{SMALL}/rows",
            params={"where": where[:2000], "step": step[:99], "page": page[:99]},
        )
    )


@tries(60)
@given(st.lists(sendable | st.sampled_from(["runs", SMALL, "rows", "map", "report", "compare"])))
def test_any_path_is_answered(client, parts):
    path = "/".join(quote(part[:200], safe="") for part in parts)
    check(client.get(f"{client.base_url}/{path}"))  # in full: a path may begin with //


@tries(30)
@given(sendable, sendable)
def test_any_comparison_is_answered(client, before, after):
    check(client.get("/compare", params={"before": before, "after": after}))
