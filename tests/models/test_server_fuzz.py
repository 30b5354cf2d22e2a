"""Whatever a model's server says, it is an answer of the right form, or an error of one line."""

import json

import numpy as np
import pytest
from fuzzing import a_line_at_most, odd_texts, slips, spoilt, tries
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("httpx", reason='pip install "tamis[openai]"')

import tamis
from tamis.models import server as server_module
from tests.models.faulty import Reply, faulty

KEY = "sk-planted-key-that-nobody-may-repeat"
USAGE = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
GOOD = {
    "/models": {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 100}]},
    "/chat/completions": {
        "choices": [{"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"}],
        "usage": USAGE,
    },
    "/completions": {
        "choices": [
            {
                "index": 0,
                "text": "a b",
                "finish_reason": "stop",
                "logprobs": {"tokens": ["a", " b", "!"], "token_logprobs": [None, -1.0, -2.0]},
                "prompt_token_ids": [5, 6],
            }
        ],
        "usage": USAGE,
    },
    "/embeddings": {"data": [{"index": 0, "embedding": [3.0, 4.0]}], "usage": USAGE},
}
ANY = st.fixed_dictionaries(
    {},
    optional={
        "Retry-After": st.sampled_from(["0", "nan", "inf", "-1", "x", "99999", "Mon, 99 Jan 1"]),
        "Content-Type": st.sampled_from(["text/html", "application/json; charset=utf-99"]),
        "Content-Encoding": st.sampled_from(["gzip", "br", "rot13"]),
        "Location": st.sampled_from(["/", "http://[", "file:///etc/passwd"]),
    },
)
STATUS = st.just(200) | st.sampled_from([200, 200, 201, 302, 400, 401, 404, 418, 429, 500, 503])
RAW = st.binary(max_size=20) | st.sampled_from(
    [b"", b"[" * 3000, b'{"a":' * 2000, b"9" * 5000, b'"\\ud800"', b"\xff\xfe{}", b"nul"]
)
REFUSAL = st.builds(
    lambda before, shown: {"error": {"message": f"{'x' * before} no such key: {shown}"}},
    st.integers(0, 220),
    st.sampled_from([KEY, f"Bearer {KEY}", f'"{KEY}"']),
)


@pytest.fixture(scope="module")
def server():
    """A server that says what `says` says."""
    says = {}

    def script(path, body, number):
        return Reply(*says["it"](path))

    with faulty(script) as listening:
        listening.says = says
        yield listening


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(server_module, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(server_module, "LONGEST_WAIT", 0.01)


def generations(found):
    for answer in found:
        assert all(isinstance(text, str) for text in (*answer.texts, *answer.finishes))
        assert "".join((*answer.texts, *answer.finishes)).encode()
    return len(found)


def scores(found):
    for one in found:
        assert len(one.spans) == len(one.ids) == len(one.logprobs)
        assert ((one.spans >= 0) & (one.spans <= len(one.text))).all()
    return len(found)


def vectors(found):
    lengths = np.linalg.norm(found.astype(np.float64), axis=1)
    assert np.allclose(lengths[~np.isnan(lengths)], 1, atol=1e-4)
    return len(found)


def asked(url):
    """Yield what each question comes to."""
    how = {"base_url": url, "api_key": KEY, "retries": 1}
    lm = tamis.models.load("openai:m", input_price=1, budget=10, **how)
    yield lambda: generations(lm.generate([[{"role": "user", "content": "well?"}]]))
    yield lambda: generations(lm.generate(["well?"]))
    yield lambda: scores(lm.logprobs(["a b"]))
    yield lambda: len(lm.fingerprint) and 1
    embedder = tamis.models.load_embedder("openai:m", **how)
    yield lambda: vectors(embedder.embed(["a"]))


def check(server, says):
    server.says["it"] = says
    for question in asked(server.url):
        with a_line_at_most(without=KEY[:12]):
            assert question() == 1


def test_what_is_said_as_it_should_be_is_understood(server):
    server.says["it"] = lambda path: (GOOD[path],)
    assert [question() for question in asked(server.url)] == [1] * 5


@tries(40)
@given(slips, STATUS, ANY)
def test_an_answer_with_other_things_in_it_is_one_or_a_line(server, changes, status, headers):
    check(server, lambda path: (json.dumps(spoilt(GOOD[path], changes)), status, headers))


@tries(40)
@given(RAW | odd_texts.map(json.dumps) | REFUSAL, STATUS, ANY)
def test_an_answer_of_any_bytes_is_a_line(server, body, status, headers):
    check(server, lambda path: (body, status, headers))
