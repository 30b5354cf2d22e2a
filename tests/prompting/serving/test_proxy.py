"""The proxy on real sockets: what it changes, what it leaves alone, and how it bears trouble."""

import gzip
import json
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

httpx = pytest.importorskip("httpx")

from tamis.errors import ModelError, SettingError  # noqa: E402
from tamis.prompting.serving import proxy, serve  # noqa: E402
from tests.models.faulty import Reply, faulty  # noqa: E402

TEN = "one two three four five six seven eight nine ten"
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": "a b"}'}}
CHAT = [
    {"role": "system", "content": "You are  terse."},
    {"role": "user", "content": TEN},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "a result of the tool"},
    {"role": "user", "content": "What   now?"},
]
SECRET = "sk-very-secret"


def sent(upstream):
    return json.loads(upstream.seen[-1][3])


def totals(url):
    return httpx.get(f"{url}/tamis/totals").json()


def until(holds):
    """Wait for what another thread does."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("asked", ["header", "field"])
def test_a_chat_is_compressed_when_asked_and_nothing_else_of_it_changes(started, upstream, asked):
    body = {"model": "m", "messages": CHAT, "tools": [{"type": "function"}], "temperature": 0.1}
    headers = {"X-Tamis-Rate": "0.5"} if asked == "header" else {}
    field = {"tamis": {"rate": 0.5}} if asked == "field" else {}
    said = httpx.post(f"{started()}/v1/chat/completions", json=body | field, headers=headers)
    first, *_ = TEN.split(" six")
    talk = [CHAT[0], {"role": "user", "content": first}, *CHAT[2:]]
    assert sent(upstream) == body | {"messages": talk}
    assert said.headers["x-tamis-original-tokens"] == "20"
    assert said.headers["x-tamis-tokens"] == "15"
    assert said.headers["x-tamis-saved-tokens"] == "5"
    assert not [name for name in upstream.seen[0][2] if name.startswith(b"x-tamis")]


def test_what_is_not_asked_for_passes_byte_for_byte(started, upstream):
    body = b'{ "messages":[{"role":"user", "content":"a \\u00e9 b"}],  "n" : 1.0 }'
    upstream.headers = [(b"x-own", b"1"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    upstream.status = 418
    url = started()
    said = httpx.post(f"{url}/v1/chat/completions?a=%2Fb", content=body, headers={"X-Own": "2"})
    method, path, headers, passed = upstream.seen[0]
    assert (method, path, passed) == ("POST", "/api/v1/chat/completions?a=%2Fb", body)
    assert headers[b"x-own"] == b"2"
    assert said.status_code == 418
    assert said.content == upstream.parts[0]
    assert said.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert "x-tamis-tokens" not in said.headers
    httpx.get(f"{url}/v1/models", headers={"X-Tamis-Rate": "0.5"})
    assert upstream.seen[1][:2] == ("GET", "/api/v1/models")


@pytest.mark.parametrize(("path", "field"), [("completions", "prompt"), ("responses", "input")])
def test_texts_and_lists_of_texts_are_compressed(started, upstream, path, field):
    url = started()
    for held, want in ((TEN, "one two"), ([TEN, "a b c d e"], ["one two", "a"])):
        body = {field: held, "tamis": {"rate": 0.2}}
        assert httpx.post(f"{url}/v1/{path}", json=body).status_code == 200
        assert sent(upstream) == {field: want}


def test_items_of_a_response_that_are_no_messages_stay(started, upstream):
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    items = [{"role": "user", "content": [{"type": "input_text", "text": TEN}]}, call,
             {"type": "message", "role": "user", "content": "Now?"}]  # fmt: skip
    httpx.post(f"{started()}/v1/responses", json={"input": items, "tamis": {"rate": 0.1}})
    passed = sent(upstream)["input"]
    assert passed[0]["content"] == [{"type": "input_text", "text": "one"}]
    assert passed[1:] == items[1:]


def test_the_field_wins_over_the_headers_and_phrases_are_kept(started, upstream):
    said = {"target_tokens": 3, "keep": ["nine", "f.ve"]}  # a phrase, no expression
    body = {"prompt": TEN, "tamis": said}
    headers = {"X-Tamis-Rate": "0.9", "X-Tamis-Keep": "ten"}
    httpx.post(f"{started()}/v1/completions", json=body, headers=headers)
    assert sent(upstream)["prompt"].split() == ["one", "two", "nine"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"rat": 0.5}, "no 'rat'; did you mean 'rate'"),
        ({"rate": 7}, "rate is 7; give a number from 0 to 1"),
        ({"rate": True}, "rate is True"),
        ({"method": "truncat"}, "did you mean 'truncate'"),
        ({"keep_last": -1}, "keep_last is -1; give a whole number"),
        ({"lm": "transformers:/etc"}, "no 'lm'"),
        ({"rate": 0.5, "target_tokens": 5}, "not both"),
        ({"target_tokens": 1, "keep": ["two three"]}, "target_tokens is 1"),
        ("half", "write {"),
    ],
)
def test_a_wrong_wish_is_refused_and_not_sent(started, upstream, said, reason):
    answer = httpx.post(f"{started()}/v1/completions", json={"prompt": TEN, "tamis": said})
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["message"]
    assert upstream.seen == []


@pytest.mark.parametrize(
    "body", [b"{", b"[" * 100_000, b"[1]", b'{"prompt": [1, 2]}', b'{"prompt": "\\ud800 a b"}']
)
def test_a_body_that_holds_no_text_is_refused(started, upstream, body):
    said = httpx.post(f"{started()}/v1/completions", content=body, headers={"X-Tamis-Rate": "0.5"})
    assert (said.status_code, upstream.seen) == (400, [])


def test_an_answer_is_streamed_as_it_comes(started, upstream):
    upstream.headers = [(b"content-type", b"text/event-stream")]
    upstream.parts = [b"data: 1\n\n", b"data: 2\n\n", b"data: [DONE]\n\n"]
    upstream.pause = 0.2
    body = {"messages": CHAT, "stream": True, "tamis": {"rate": 0.5}}
    arrived = []
    with httpx.stream("POST", f"{started()}/v1/chat/completions", json=body) as answer:
        assert answer.headers["x-tamis-tokens"] == "15"
        for part in answer.iter_raw():
            arrived.append((part, time.monotonic()))
    assert [part for part, _ in arrived] == upstream.parts
    assert arrived[-1][1] - arrived[0][1] > 0.3  # two pauses: nothing was held back


def test_a_packed_answer_stays_packed(started, upstream):
    upstream.headers = [(b"content-encoding", b"gzip")]
    upstream.parts = [gzip.compress(b"a long answer " * 100)]
    url = started()
    with httpx.stream("GET", f"{url}/v1/models", headers={"Accept-Encoding": "gzip"}) as answer:
        assert b"".join(answer.iter_raw()) == upstream.parts[0]
    assert upstream.seen[0][2][b"accept-encoding"] == b"gzip"
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as client:
        client.sendall(b"GET /v1/models HTTP/1.0\r\nHost: localhost\r\n\r\n")
        b"".join(iter(lambda: client.recv(65536), b""))
    assert upstream.seen[1][2][b"accept-encoding"] == b"identity"  # who takes none gets none


def test_64_clients_at_once_each_get_their_own(started, upstream):
    def script(path, body, number):
        return Reply({"said": body["prompt"], "key": None}, silence=0.05)

    with (
        faulty(script) as slow,
        ThreadPoolExecutor(64) as threads,
        httpx.Client(timeout=60, limits=httpx.Limits(max_connections=64)) as client,
    ):
        url = started(slow.url)

        def ask(i):
            prompt = " ".join([f"w{i}"] * 10)
            how = {} if i % 4 == 3 else {"tamis": {"rate": [0.2, 0.5, 0.9][i % 4]}}
            body = {"prompt": prompt, **how}
            headers = {"Authorization": f"Bearer {i}"}
            return client.post(f"{url}/v1/completions", json=body, headers=headers).json()["said"]

        said = list(threads.map(ask, range(64)))
        words = [[2, 5, 9, 10][i % 4] for i in range(64)]
        assert said == [" ".join([f"w{i}"] * n) for i, n in enumerate(words)]
        keys = {body["prompt"].split()[0]: headers["authorization"]
                for _, body, headers in slow.seen}  # fmt: skip
        assert keys == {f"w{i}": f"Bearer {i}" for i in range(64)}
        told = totals(url)
    assert (told["requests"], told["compressed"], told["in_flight"]) == (64, 48, 0)
    assert told["saved_tokens"] == 16 * (8 + 5 + 1)
    assert told["original_tokens"] == 480


def test_one_that_cannot_be_compressed_harms_no_other(started, upstream):
    url = started()

    def ask(prompt):
        how = {"target_tokens": 2, "keep": ["must stay whole"]}
        body = {"prompt": prompt, "tamis": how}
        return client.post(f"{url}/v1/completions", json=body).status_code

    with ThreadPoolExecutor(16) as threads, httpx.Client(timeout=60) as client:
        prompts = ["a b c d must stay whole" if i % 4 == 0 else TEN for i in range(16)]
        assert list(threads.map(ask, prompts)) == [400, 200, 200, 200] * 4


def test_a_silent_upstream_is_given_up(started, upstream):
    upstream.pause = 30
    upstream.headers = [(b"content-length", b"12")]
    with faulty(lambda *_: Reply({}, silence=30)) as silent:
        said = httpx.post(f"{started(silent.url, timeout=0.3)}/v1/completions", json={"prompt": ""})
        assert said.status_code == 504
        assert "did not answer in time" in said.json()["error"]["message"]


def test_an_upstream_that_is_not_there_is_said(started):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listens
        url = started(f"http://127.0.0.1:{held.getsockname()[1]}")
        said = httpx.post(f"{url}/v1/completions", json={"prompt": ""})
    assert said.status_code == 502
    assert totals(url)["broken"] == 1


def test_an_upstream_that_breaks_without_a_word_is_said(started):
    with faulty(lambda *_: None) as dead:
        said = httpx.post(f"{started(dead.url)}/v1/completions", json={"prompt": ""})
    assert said.status_code == 502
    assert "broke off" in said.json()["error"]["message"]


def test_half_an_answer_is_never_taken_for_a_whole(started, upstream):
    upstream.parts, upstream.breaks = [b"data: 1\n\n"] * 3, 2
    url = started()
    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("POST", f"{url}/v1/completions", json={}) as answer,
    ):
        for _ in answer.iter_raw():
            pass
    assert totals(url)["broken"] == 1


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_refused(started, upstream, declared):
    url = started(max_bytes=1000)
    long = b"x" * 1001
    parts = (long[i : i + 100] for i in range(0, len(long), 100))
    said = httpx.post(f"{url}/v1/completions", content=long if declared else parts)
    assert said.status_code == 413
    assert "1,000 bytes" in said.json()["error"]["message"]
    assert httpx.post(f"{url}/v1/completions", content=long[:1000]).status_code == 200
    assert len(upstream.seen) == 1


def test_a_body_said_to_be_over_the_limit_is_not_waited_for(started, upstream):
    url = started()
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as client:
        client.settimeout(30)
        client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                       b"Content-Length: 1000000000\r\n\r\n")  # fmt: skip
        assert client.recv(65536).startswith(b"HTTP/1.1 413")


def test_one_request_too_many_is_told_to_come_again(started, upstream):
    upstream.pause = 30
    url = started(max_requests=1)
    with httpx.stream("POST", f"{url}/v1/completions", json={}):
        said = httpx.post(f"{url}/v1/completions", json={})
        assert (said.status_code, said.headers["retry-after"]) == (503, "1")
    until(lambda: totals(url)["in_flight"] == 0)  # who leaves makes room


def test_who_leaves_takes_the_upstream_along(started, upstream):
    upstream.pause, upstream.parts = 0.05, [b"data: 1\n\n"] * 1000
    url = started()
    with httpx.stream("POST", f"{url}/v1/completions", json={}) as answer:
        next(answer.iter_raw())
    until(lambda: upstream.left == 1)
    until(lambda: totals(url)["left"] == 1)
    assert totals(url)["in_flight"] == 0


def test_a_client_cut_off_in_its_body_is_forgotten(started, upstream):
    url = started()
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as client:
        client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                       b"Content-Length: 100\r\n\r\n{")  # fmt: skip
        until(lambda: totals(url)["in_flight"] == 1)
    until(lambda: totals(url)["left"] == 1)
    assert (totals(url)["in_flight"], upstream.seen) == (0, [])


def test_the_key_reaches_the_upstream_and_no_log_or_error(started, upstream, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": f"Bearer {SECRET}", "X-Tamis-Rate": "0.5"}
    url = started()
    answers = [
        httpx.post(f"{url}/v1/completions", json={"prompt": TEN}, headers=headers),
        httpx.post(f"{url}/v1/completions", json={"prompt": 1}, headers=headers),
    ]

    async def refuses(self, request, **how):  # the client library repeats headers it refuses
        raise httpx.LocalProtocolError(f"Illegal header value {request.headers['authorization']}")

    monkeypatch.setattr(httpx.AsyncClient, "send", refuses)
    answers.append(httpx.get(f"{url}/v1/models", headers=headers))
    told = totals(url)
    assert upstream.seen[0][2][b"authorization"] == f"Bearer {SECRET}".encode()
    assert [answer.status_code for answer in answers] == [200, 400, 502]
    mine = [record for record in caplog.records if not record.name.startswith("httpcore")]
    heard = [record.getMessage() for record in mine] + [answer.text for answer in answers]
    assert SECRET not in "".join([*heard, str(told)])


def test_a_failing_compressor_is_an_error_and_nothing_is_sent(started, upstream):
    class Failing:
        fingerprint = "failing"

        def logprobs(self, prompts, continuations=None):
            raise ModelError("failing: out of memory")

    url = started(lm=Failing(), method="llmlingua")
    body = {"prompt": TEN, "tamis": {"rate": 0.5}}
    said = httpx.post(f"{url}/v1/completions", json=body)
    assert (said.status_code, upstream.seen) == (500, [])
    assert "out of memory" in said.json()["error"]["message"]
    body["tamis"]["method"] = "truncate"
    assert httpx.post(f"{url}/v1/completions", json=body).status_code == 200


def test_with_a_token_only_who_knows_it_is_let_in(started, upstream):
    url = started(token="open sesame")
    for headers in ({}, {"X-Tamis-Token": "open"}):
        assert httpx.get(f"{url}/v1/models", headers=headers).status_code == 401
        assert httpx.get(f"{url}/tamis/totals", headers=headers).status_code == 401
    right = {"X-Tamis-Token": "open sesame", "Host": "proxy.example"}
    assert httpx.get(f"{url}/v1/models", headers=right).status_code == 200
    assert b"x-tamis-token" not in upstream.seen[0][2]


def test_a_web_page_that_calls_itself_this_machine_is_not_answered(started, upstream):
    url = started()
    said = httpx.get(f"{url}/v1/models", headers={"Host": "rebound.example"})
    assert (said.status_code, upstream.seen) == (403, [])


@pytest.mark.parametrize("path", ["/v1/../admin", "/v1/%2e%2e/admin", "/v1/a/..%2f..%2fadmin"])
def test_no_path_leads_out_of_the_upstreams_own(started, upstream, path):
    url = started()
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
                       "Connection: close\r\n\r\n".encode())  # fmt: skip
        said = b"".join(iter(lambda: client.recv(65536), b""))
    assert int(said.split()[1]) in {400, 404}
    assert upstream.seen == []


def test_other_paths_say_where_to_look(started):
    said = httpx.get(f"{started()}/chat/completions")
    assert said.status_code == 404
    assert "/v1" in said.json()["error"]["message"]


def test_an_open_address_needs_a_token(monkeypatch):
    monkeypatch.delenv("TAMIS_TOKEN", raising=False)
    with pytest.raises(SettingError, match="set TAMIS_TOKEN"):
        serve("http://localhost:1/v1", host="0.0.0.0")


@pytest.mark.parametrize("upstream", ["localhost:8000", "ftp://a/v1", "", "http://u:p@a/v1"])
def test_an_upstream_that_is_no_address_is_refused(upstream):
    with pytest.raises(SettingError, match="upstream"):
        proxy(upstream, method="truncate")
