"""Limits on what a model is asked, against models that count in each of the three ways."""

import numpy as np
import pytest

from tamis.errors import SettingError
from tamis.models.base import Generation, IncompleteError, TokenLogprobs
from tamis.models.metered import LimitError, MeteredLM, Spent


class Echo:
    """Says each prompt back; counts nothing itself. None for 'refuse'."""

    fingerprint = "echo"

    def __init__(self):
        self.asked = 0

    def generate(self, prompts, *, n=1, **how):
        self.asked += len(prompts)
        answers = [
            None if p == "refuse" else Generation((str(p),) * n, ("stop",) * n) for p in prompts
        ]
        if None in answers:
            reasons = {i: "HTTP 400" for i, said in enumerate(answers) if said is None}
            raise IncompleteError("some got none", answers, reasons)
        return answers

    def logprobs(self, prompts, continuations=None):
        none = np.empty(0, np.int64)
        return [TokenLogprobs("", none.reshape(0, 2), none, np.empty(0, np.float32))] * len(prompts)


def test_bytes_are_counted_where_a_model_names_no_tokens():
    lm = MeteredLM(Echo())
    lm.generate(["four", "é"], max_tokens=9)
    assert lm.spent == Spent(2, 6, 6)
    assert lm.counted_by == "bytes"
    lm.logprobs(["ab"], ["cd"])
    assert lm.spent == Spent(3, 10, 6)


def test_what_could_pass_a_limit_is_not_asked():
    model = Echo()
    lm = MeteredLM(model, tokens=30)
    lm.generate(["four"], max_tokens=10)  # 14 at most, 8 in truth
    lm.generate(["four"], max_tokens=18)  # 8 and 22 are 30
    with pytest.raises(
        LimitError, match=r"tokens: 16 of 30 are spent, .* can take 22; give a high"
    ):
        lm.generate(["four"], max_tokens=18)
    assert model.asked == 2
    assert lm.spent.tokens == 16


def test_every_answer_of_a_request_counts():
    lm = MeteredLM(Echo(), tokens=40)
    with pytest.raises(LimitError):
        lm.generate(["four"], max_tokens=10, n=4)
    lm.generate(["four"], max_tokens=9, n=4)
    assert lm.spent == Spent(1, 4, 16)


def test_what_was_spent_before_counts_against_the_limit():
    lm = MeteredLM(Echo(), requests=3, spent=Spent(requests=2))
    lm.generate(["a"])
    with pytest.raises(LimitError, match="requests: 3 of 3 are spent"):
        lm.generate(["a"])


def test_a_request_without_an_answer_is_not_counted():
    lm = MeteredLM(Echo())
    with pytest.raises(IncompleteError):
        lm.generate(["four", "refuse"])
    assert lm.spent == Spent(1, 4, 4)


def test_money_without_prices_is_refused():
    with pytest.raises(SettingError, match="the model has no prices; give input_price="):
        MeteredLM(Echo(), money=1.0)


def test_a_server_s_own_count_and_prices_hold():
    pytest.importorskip("httpx")
    from tamis.models.openai import OpenAILM
    from tests.models.faulty import chat, faulty

    with faulty(lambda *_: chat("yes", prompt_tokens=7, completion_tokens=3)) as server:
        model = OpenAILM("m", base_url=server.url, input_price=1e6, output_price=1e6)
        lm = MeteredLM(model, money=80)
        asks = [[{"role": "user", "content": "yes?"}]]
        lm.generate(asks, max_tokens=5)
        assert lm.counted_by == "server"
        assert lm.spent == Spent(1, 7, 3, 10.0)
        lm.generate(asks, max_tokens=5)
        with pytest.raises(LimitError, match="money: 20 of 80 are spent"):
            lm.generate(asks, max_tokens=50)


def test_a_tokenizer_counts_where_there_is_one():
    pytest.importorskip("torch")
    import tamis

    model = tamis.models.load("bundled")
    lm = MeteredLM(model, tokens=10_000)
    prompts = ["The sky is", "One two three four"]
    answers = lm.generate(prompts, max_tokens=4)
    read = sum(len(model.tokenizer(text)["input_ids"]) for text in prompts)
    assert lm.counted_by == "tokenizer"
    assert lm.spent.prompt_tokens == read
    assert 0 < lm.spent.completion_tokens <= 4 * len(answers)
    assert lm.context == model.context
