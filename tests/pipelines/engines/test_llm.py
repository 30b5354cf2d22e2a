"""What comes back from Ray's LLM batches, row by row."""

import numpy as np
import pytest

pytest.importorskip("ray")
pytest.importorskip("torch")

from transformers import AutoTokenizer

from tamis.models import bundled
from tamis.models.account import counting
from tamis.models.base import IncompleteError
from tamis.models.contexts import answered
from tamis.models.tokens import TextTokenizer
from tamis.pipelines.engines.llm import RayVLLM, _Batches

ASKED = {
    "number": 3,
    "tokenized_prompt": [5, 6, 7],
    "sampling_params": {"max_tokens": 1, "prompt_logprobs": 0},
}
SCORED = {
    "number": 3,
    "generated_text": " it",
    "generated_tokens": [4],
    "prompt_logprobs": [
        None,
        {6: {"logprob": -1.5}},
        {7: {"logprob": -0.25}, 9: {"logprob": -0.1}},
    ],
}
FAILED = SCORED | {
    "prompt_logprobs": None,
    "generated_tokens": [],
    "__inference_error__": "VLLMValidationError: your prompt contains\n3000 input tokens",
}


@pytest.fixture
def batches():
    made = object.__new__(_Batches)  # without vLLM, which asks for minutes
    made.failed = {}
    return made


def test_the_scores_are_of_the_tokens_that_were_given(batches):
    answer = batches._answer(SCORED, ASKED)
    assert answer.prompt_logprobs.logprobs == [-1.5, -0.25]
    assert answer.outputs[0].finish_reason == "length"
    assert (answer.prompt_token_ids, answer.outputs[0].token_ids) == ([5, 6, 7], [4])
    assert batches.failed == {}


def test_a_request_that_failed_has_no_score_and_a_reason(batches):
    answer = batches._answer(FAILED, ASKED)
    assert batches.failed == {
        3: "refused: VLLMValidationError: your prompt contains 3000 input tokens"
    }
    assert (np.array(answer.prompt_logprobs.logprobs) == 3).all()  # no log-probability is above 0


def test_what_was_read_and_written_is_counted(batches, monkeypatch):
    pytest.importorskip("vllm")
    monkeypatch.setattr(batches, "_job", lambda rows: [(SCORED | row, row) for row in rows])
    model = object.__new__(RayVLLM)
    model.name, model.context, model.llm = "vllm:small", 100, batches
    model.tokenizer = AutoTokenizer.from_pretrained(bundled("lm"))
    model._reader = TextTokenizer(model.tokenizer, model.name)
    with counting() as account:
        said = model.generate(["sky", "sea"], max_tokens=1)
    assert [one.texts for one in said] == [(" it",), (" it",)]
    read = sum(len(one.ids) for one in model._reader.encode(["sky", "sea"]))
    assert account.tokens == read + 2


def test_one_refusal_stops_no_other_request():
    model = object.__new__(RayVLLM)
    model.name = "vllm:small"
    reasons = {1: "refused: too long"}
    with pytest.raises(IncompleteError, match=r"^vllm:small: 1 of 3 requests failed \(refused: "):
        model._complete(["a", "b", "c"], reasons)

    def ask(requests):
        said = [f"answer {request}" for request in requests]
        return model._complete(
            said, {requests.index(1): "refused: too long"} if 1 in requests else {}
        )

    found, refused = answered([0, 1, 2], ask)
    assert found == {0: "answer 0", 2: "answer 2"}
    assert refused == {1: "refused: too long"}
