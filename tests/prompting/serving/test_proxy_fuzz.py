"""Whatever a client sends, and whatever the upstream says, the proxy answers with sense."""

import json

import pytest
from fuzzing import odd_texts, slips, spoilt, tries
from hypothesis import given
from hypothesis import strategies as st

httpx = pytest.importorskip("httpx")

GOOD = {
    "chat/completions": {"model": "m", "messages": [{"role": "user", "content": "one two three"}]},
    "completions": {"model": "m", "prompt": ["one two three four"]},
    "responses": {"model": "m", "input": "one two three four"},
}
BITS = [
    "0.5",
    "-1",
    "nan",
    "inf",
    "2",
    "",
    "x",
    "truncate",
    "9" * 4000,
    "user",
    "a,b,",
    "[",
    "true",
]
headers = st.dictionaries(
    st.sampled_from(["Rate", "Target-Tokens", "Method", "Keep", "Keep-Last", "Roles", "Seed",
                     "Structure", "Token", "Nonsense"]).map(lambda name: f"X-Tamis-{name}"),
    st.sampled_from(BITS), max_size=3,
)  # fmt: skip
wishes = st.none() | st.fixed_dictionaries({}, optional={
    "rate": st.floats() | odd_texts | st.none(), "target_tokens": st.integers() | st.floats(),
    "method": odd_texts, "keep": st.lists(odd_texts, max_size=2) | odd_texts,
    "roles": st.lists(odd_texts, max_size=2), "keep_last": st.integers(), "seed": st.integers(),
})  # fmt: skip


@pytest.fixture(scope="module")
def client():
    with httpx.Client(timeout=60) as client:
        yield client


def check(client, url, path, body, headers):
    answer = client.post(f"{url}/v1/{path}", content=body, headers=headers)
    assert answer.status_code in (200, 400, 413, 422), (answer.status_code, answer.text)
    if answer.status_code != 200:
        assert answer.json()["error"]["message"].isprintable()


@tries(60)
@given(st.sampled_from([*GOOD]), slips, wishes, headers)
def test_any_request_is_passed_or_refused_in_a_line(address, client, path, changes, wish, headers):
    body = spoilt(GOOD[path], changes)
    if wish is not None and isinstance(body, dict):
        body = body | {"tamis": wish}
    check(client, address, path, json.dumps(body).encode(), headers)


@tries(30)
@given(st.sampled_from([*GOOD]), st.binary(max_size=30) | st.just(b"[" * 3000), headers)
def test_any_bytes_are_passed_or_refused_in_a_line(address, client, path, body, headers):
    check(client, address, path, body, headers)


@pytest.fixture
def address(started):
    return started()
