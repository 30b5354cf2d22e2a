import logging
import threading
import time
import traceback
from email.utils import formatdate

import numpy as np
import pytest

pytest.importorskip("httpx", reason='pip install "tamis[openai]"')

import tamis
from tamis.data.features import FeatureStore
from tamis.errors import DataError, ModelError, SettingError
from tamis.models import server as server_module
from tamis.models.base import IncompleteError
from tamis.models.cached import CachedLM
from tamis.models.fingerprint import seed_of
from tests.models.faulty import Reply, chat, faulty


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    """Wait a hundredth of the time between tries, and know nothing of this machine's keys."""
    monkeypatch.setattr(server_module, "FIRST_WAIT", 0.005)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def load(server, **options):
    return tamis.models.load("openai:m", base_url=server.url, **options)


def ask(text):
    return [{"role": "user", "content": text}]


def echo(path, body, number):
    return chat("so: " + body["messages"][0]["content"])


def test_answers_come_in_the_order_asked():
    def slow_at_first(path, body, number):
        reply = echo(path, body, number)
        reply.silence = 0.2 if number < 3 else 0.0
        return reply

    with faulty(slow_at_first) as server:
        lm = load(server)
        answers = lm.generate([ask(str(i)) for i in range(50)], max_tokens=9)
    assert [answer.text for answer in answers] == [f"so: {i}" for i in range(50)]
    assert (lm.usage.requests, lm.usage.retries) == (50, 0)
    assert (lm.usage.prompt_tokens, lm.usage.completion_tokens) == (350, 150)
    assert lm.usage.money is None


def test_no_more_than_so_many_are_in_flight():
    flying, most = [], []
    all_five = threading.Barrier(5)

    def script(path, body, number):
        flying.append(number)
        most.append(len(flying))
        all_five.wait(30)  # However slow the threads are to start: five come, and none goes alone
        time.sleep(0.01)
        flying.remove(number)
        return echo(path, body, number)

    with faulty(script) as server:
        load(server, in_flight=5).generate([ask(str(i)) for i in range(40)])
    assert max(most) == 5


FAULTS = {
    "429": Reply({"error": {"message": "slow down"}}, 429, {"Retry-After": "0"}),
    "500": Reply("oops", 500),
    "503": Reply("<html>busy</html>", 503),
    "half a body": Reply({"choices": "x" * 500}, cut=True),
    "no JSON": Reply("{'choices': ["),
    "other JSON": Reply([1, 2, 3]),
    "no choices": Reply({"choices": []}),
    "null": Reply("null"),
    "silence": Reply({}, silence=30.0),
    "a broken connection": None,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_can_pass_is_asked_again(fault):
    failed = set()

    def script(path, body, number):
        if number % 3 == 0 and len(failed) < 5:
            failed.add(number)
            return FAULTS[fault]
        return echo(path, body, number)

    with faulty(script) as server:
        lm = load(server, timeout=0.5)
        answers = lm.generate([ask(str(i)) for i in range(20)])
    assert [answer.text for answer in answers] == [f"so: {i}" for i in range(20)]
    assert lm.usage.retries == len(failed) == 5


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_pass_is_named_and_the_rest_is_kept(fault):
    def script(path, body, number):
        bad = body["messages"][0]["content"] == "3"
        return FAULTS[fault] if bad else echo(path, body, number)

    with faulty(script) as server:
        lm = load(server, timeout=0.2, retries=2)
        with pytest.raises(IncompleteError, match="1 of 6 requests got no answer") as caught:
            lm.generate([ask(str(i)) for i in range(6)])
    texts = [answer and answer.text for answer in caught.value.answers]
    assert texts == ["so: 0", "so: 1", "so: 2", None, "so: 4", "so: 5"]
    assert list(caught.value.reasons) == [3]
    assert lm.usage.retries == 2
    assert "\n" not in str(caught.value)


def test_a_server_that_dies_halfway_leaves_what_it_said():
    def script(path, body, number):
        if number == 500:
            threading.Thread(target=server.stop).start()
        return echo(path, body, number) if number < 500 else None

    with faulty(script) as server:
        lm = load(server, retries=2)
        with pytest.raises(IncompleteError, match="500 of 1000 requests got no answer") as caught:
            lm.generate([ask(str(i)) for i in range(1000)])
    kept = [i for i, answer in enumerate(caught.value.answers) if answer is not None]
    assert len(kept) == 500
    assert all(caught.value.answers[i].text == f"so: {i}" for i in kept)
    assert sorted({*kept, *caught.value.reasons}) == list(range(1000))
    # The server is gone: what had not been sent by then is not tried.
    assert lm.usage.requests < 500 + 6 * lm.server.in_flight


def test_a_run_whose_server_died_at_request_500_goes_on_when_it_is_back(tmp_path):
    back, answered = threading.Event(), []

    def script(path, body, number):
        if path == "/models":
            return Reply({"data": []})
        if number >= 500 and not back.is_set():
            return None
        answered.append(int(body["messages"][0]["content"]))
        return echo(path, body, number)

    prompts = [ask(str(i)) for i in range(1000)]
    with faulty(script) as server:
        lm = CachedLM(load(server, retries=1), store=FeatureStore(tmp_path), progress=False)
        with pytest.raises(IncompleteError):
            lm.generate(prompts)
        assert 400 < len(answered) < 500
        back.set()
        answers = lm.generate(prompts)
    assert [answer.text for answer in answers] == [f"so: {i}" for i in range(1000)]
    assert sorted(answered) == list(range(1000))  # none was asked twice


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_wait_that_the_server_names_is_kept_by_all(form):
    times = []

    def script(path, body, number):
        times.append(time.time())
        if number == 0:
            after = "1" if form == "seconds" else formatdate(time.time() + 1.999, usegmt=True)
            return Reply({}, 429, {"Retry-After": after})
        reply = echo(path, body, number)
        reply.silence = 0.3 if number == 1 else 0.0  # under way when the first was told
        return reply

    with faulty(script) as server:
        load(server, in_flight=2).generate([ask(str(i)) for i in range(6)])
    assert len(times) == 7
    assert min(times[2:]) - times[0] >= 0.95


def test_a_wait_of_an_hour_is_not_waited():
    with faulty(lambda *_: Reply({}, 429, {"Retry-After": "3600"})) as server:
        with pytest.raises(IncompleteError, match="asks to wait 3600 s"):
            load(server).generate([ask("a")])
        assert len(server.seen) == 1


def test_a_wrong_request_is_not_asked_again_and_stops_nothing():
    def script(path, body, number):
        if body["messages"][0]["content"] == "long":
            return Reply({"error": {"message": "maximum context length is 8"}}, 400)
        return echo(path, body, number)

    with faulty(script) as server:
        with pytest.raises(
            IncompleteError, match="HTTP 400, maximum context length is 8"
        ) as caught:
            load(server, in_flight=1).generate([ask("long"), ask("a"), ask("b")])
        assert len(server.seen) == 3
    assert [answer is None for answer in caught.value.answers] == [True, False, False]


@pytest.mark.parametrize(
    "refusal",
    [
        Reply({"error": {"message": "Incorrect API key provided: sk-planted"}}, 401),
        Reply({"error": {"code": "insufficient_quota", "message": "sk-planted is poor"}}, 429),
        Reply("no such model for sk-planted", 404),
    ],
)
def test_a_refusal_ends_it_all_and_the_key_is_never_shown(refusal, caplog):
    caplog.set_level(logging.DEBUG)
    with faulty(lambda *_: refusal) as server:
        lm = load(server, api_key="sk-planted", in_flight=2)
        with pytest.raises(IncompleteError, match=r"\*\*\*") as caught:
            lm.generate([ask(str(i)) for i in range(50)])
        assert len(server.seen) <= 2
        assert server.seen[0][2]["Authorization"] == "Bearer sk-planted"
    shown = [repr(lm), repr(lm.server), repr(vars(lm)), repr(vars(lm.server)), str(lm.usage)]
    shown += [str(caught.value.reasons), caplog.text]
    shown += traceback.format_exception(caught.value)
    assert not [text for text in shown if "sk-planted" in text]


def test_the_environments_key_goes_to_its_own_server_alone(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    with faulty(echo) as server:
        load(server).generate([ask("a")])
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        tamis.models.load("openai:m").generate([ask("a")])
        sent = [headers.get("Authorization") for _, _, headers in server.seen]
    assert sent == [None, "Bearer sk-planted"]


def test_a_password_in_the_address_is_refused():
    with pytest.raises(SettingError, match="pass api_key= instead") as caught:
        tamis.models.load("openai:m", base_url="http://me:sk-planted@127.0.0.1/v1")
    assert "sk-planted" not in str(caught.value)


# Money


def test_money_is_counted_from_what_the_server_says():
    with faulty(echo) as server:
        lm = load(server, input_price=2.0, output_price=10.0)
        lm.generate([ask(str(i)) for i in range(10)])
    assert lm.usage.money == pytest.approx(10 * (7 * 2.0 + 3 * 10.0) / 1e6)


def test_the_budget_is_never_passed_and_what_it_bought_is_kept():
    # 44e-6 an answer; a request can cost up to 1.3e-3 (it is not known before).
    with faulty(echo) as server:
        lm = load(server, input_price=2.0, output_price=10.0, budget=2e-3)
        with pytest.raises(IncompleteError, match=r"the budget of 0\.002 is spent") as caught:
            lm.generate([ask(str(i)) for i in range(100)], max_tokens=100)
    kept = sum(answer is not None for answer in caught.value.answers)
    assert 0 < kept < 100
    assert lm.usage.money == pytest.approx(kept * 44e-6)
    assert lm.usage.money <= 2e-3 < lm.usage.money + 1.3e-3


def test_a_budget_needs_prices():
    with pytest.raises(SettingError, match="give input_price="):
        tamis.models.load("openai:m", base_url="http://127.0.0.1:9", budget=1.0)


# What is sent, and what is read


def test_settings_are_sent_as_the_protocol_names_them():
    def script(path, body, number):
        choices = [
            {"index": i, "message": {"content": f"{i}"}, "finish_reason": "length"} for i in (1, 0)
        ]
        return Reply({"choices": choices})

    schema = {"type": "object"}
    with faulty(script) as server:
        (answer,) = load(server, reasoning_effort="low").generate(
            [ask("a")],
            max_tokens=5,
            temperature=0.7,
            top_p=0.9,
            stop="\n",
            schema=schema,
            n=2,
            seed=4,
        )
        (body,) = server.bodies("/chat/completions")
    assert (answer.texts, answer.finishes) == (("0", "1"), ("length", "length"))
    assert body == {
        "model": "m",
        "reasoning_effort": "low",
        "messages": ask("a"),
        "max_tokens": 5,
        "temperature": 0.7,
        "top_p": 0.9,
        "stop": "\n",
        "n": 2,
        "seed": seed_of(4, ask("a")),
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        },
    }


def test_text_is_continued():
    def script(path, body, number):
        text = body["prompt"] + "!"
        return Reply({"choices": [{"index": 0, "text": text, "finish_reason": "stop"}]})

    with faulty(script) as server:
        assert load(server).generate(["Hi", "Ho"])[1].text == "Ho!"
        assert server.bodies("/chat/completions") == []


def test_text_and_messages_are_not_mixed():
    with pytest.raises(DataError, match="ask for each alone"):
        tamis.models.load("openai:m", base_url="http://127.0.0.1:9").generate(["a", ask("b")])


def test_a_refused_answer_says_so():
    refused = {"index": 0, "message": {"content": None, "refusal": "no"}, "finish_reason": "stop"}
    with faulty(lambda *_: Reply({"choices": [refused]})) as server:
        (answer,) = load(server).generate([ask("a")])
    assert (answer.text, answer.finishes) == ("", ("refusal",))


def by_letter(path, body, number):
    """Echo a prompt with a token a letter, after <s>; a letter's log-probability is -1/code."""
    if path == "/models":
        return Reply({"data": [{"id": "m", "owned_by": "me", "created": number}]})
    letters = ["<s>", *body["prompt"], "?"]
    return Reply(
        {
            "choices": [
                {
                    "index": 0,
                    "text": "",
                    "finish_reason": "length",
                    "logprobs": {
                        "tokens": letters,
                        "token_logprobs": [None, *(-1 / ord(letter) for letter in letters[1:])],
                    },
                }
            ],
            "usage": {"prompt_tokens": len(letters) - 1},
        }
    )


def test_an_echo_gives_log_probabilities():
    with faulty(by_letter) as server:
        lm = load(server)
        given, none, whole = lm.logprobs(["ab", "ab", ""], ["cd", "", "é!"])
        alone = lm.logprobs(["ab"])[0]
        sent = server.bodies("/completions")
    assert given.tokens == ["c", "d"]
    np.testing.assert_allclose(given.logprobs, [-1 / 99, -1 / 100])
    assert given.ids.tolist() == [-1, -1]
    assert np.isnan(none.mean)
    assert whole.tokens == ["é", "!"]
    assert alone.tokens == ["a", "b"]
    assert sent[0] == {
        "model": "m", "prompt": sent[0]["prompt"], "max_tokens": 1, "temperature": 0,
        "echo": True, "logprobs": 1,
    }  # fmt: skip
    assert len(sent) == 3  # an empty continuation costs nothing


def test_a_server_without_echo_is_said():
    def script(path, body, number):
        if path == "/models":
            return Reply({"data": []})
        said = {"index": 0, "text": "x", "logprobs": {"tokens": ["x"], "token_logprobs": [-1.0]}}
        return Reply({"choices": [said], "usage": {"prompt_tokens": 3}})

    with (
        faulty(script) as server,
        pytest.raises(ModelError, match=r"no log-probabilities of a prompt; load the model as"),
    ):
        load(server).logprobs(["ab"])


def test_messages_cannot_be_scored_without_their_template():
    with faulty(by_letter) as server, pytest.raises(DataError, match="give tokenizer="):
        load(server).logprobs([ask("a")], ["b"])


def test_the_server_and_what_it_says_make_the_fingerprint():
    def script(context):
        card = {"id": "m", "owned_by": "me", "max_model_len": context}
        return lambda path, body, number: Reply({"data": [card | {"created": number}]})

    with faulty(script(8)) as one, faulty(script(9)) as other:
        first = load(one)
        first.server.get("/models")  # 'created' moves on
        assert load(one).fingerprint == first.fingerprint
        assert load(other).fingerprint != first.fingerprint
        assert load(one, reasoning_effort="low").fingerprint != first.fingerprint


def test_a_server_that_lists_no_models_is_known_by_its_name():
    with faulty(lambda *_: Reply("", 404)) as one, faulty(lambda *_: Reply("", 404)) as other:
        assert load(one).fingerprint == load(one).fingerprint != load(other).fingerprint


def test_a_server_that_cannot_be_asked_is_said():
    with faulty(echo) as server:
        lm = load(server, retries=1)
    with pytest.raises(ModelError, match="openai:m: cannot connect to http://127"):
        lm.logprobs(["a"])


# Embeddings


def test_embeds_in_batches_and_skips_what_is_empty():
    def script(path, body, number):
        rows = [
            {"index": i, "embedding": [3.0, 4.0 * len(text)]}
            for i, text in enumerate(body["input"])
        ]
        return Reply({"data": rows[::-1]})

    texts = ["x" * (i % 5) for i in range(100)]
    with faulty(script) as server:
        embedder = tamis.models.load_embedder("openai:m", base_url=server.url)
        points = embedder.embed(texts)
        assert embedder.embed([]).shape == (0, 0)
        sizes = [len(body["input"]) for body in server.bodies("/embeddings")]
    assert sorted(sizes) == [16, 64]
    assert points.dtype == np.float32
    assert np.isnan(points).all(axis=1).tolist() == [not text for text in texts]
    np.testing.assert_allclose(points[1], [0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(points[3], np.array([3, 12]) / np.sqrt(153), rtol=1e-6)


@pytest.mark.parametrize("vector", [[], [1e31], ["x"], [[1.0]]])
def test_a_vector_of_no_use_is_an_error_and_one_of_next_to_nothing_has_no_direction(vector):
    with faulty(lambda *_: Reply({"data": [{"index": 0, "embedding": vector}]})) as server:
        embedder = tamis.models.load_embedder("openai:m", base_url=server.url, retries=0)
        with pytest.raises(ModelError, match="openai:m"):
            embedder.embed(["a"])
    with faulty(lambda *_: Reply({"data": [{"index": 0, "embedding": [1e-200]}]})) as server:
        embedder = tamis.models.load_embedder("openai:m", base_url=server.url)
        assert np.isnan(embedder.embed(["a"])).all()
