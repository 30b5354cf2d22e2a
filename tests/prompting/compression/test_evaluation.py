"""What became of the answers, on prompts small enough to follow."""

import json

import numpy as np
import pytest

from tamis.errors import DataError
from tamis.models.base import TokenLogprobs
from tamis.prompting import evaluate_compression
from tamis.prompting.compression.examples import examples


class Recalls:
    """A reader: an answer's word costs 1 nat where the prompt has it, else 3."""

    fingerprint = "recalls"

    def logprobs(self, prompts, continuations):
        return [self._score(*pair) for pair in zip(prompts, continuations, strict=True)]

    def _score(self, prompt, answer):
        words = answer.split()
        costs = [-1.0 if word in prompt.split() else -3.0 for word in words]
        spans = np.array([(0, len(answer))] * len(words)).reshape(-1, 2)
        return TokenLogprobs(answer, spans, np.zeros(len(words), int), np.array(costs))


def evaluated(prompts, answers, **how):
    how = {"reader": Recalls(), "tokenizer": str.split, "rate": 0.5, "method": "truncate"} | how
    return evaluate_compression(prompts, answers, **how)


def test_answers_by_hand():
    # The first half of the first prompt holds its answer, of the second's only 'north'; the
    # third never had it.
    prompts = ["blue sky red sea", "go far north pole", "a b c d"]
    told = evaluated(prompts, ["blue", "north pole", "z"], keep="north")
    assert told.methods == ("truncate", "random", "whole", "nothing")
    assert told.survived[0].tolist()[:2] == [1, 0]
    assert np.isnan(told.survived[:, 2]).all()
    assert told.survival("truncate") == 0.5
    assert told.survival("whole") == 1
    assert told.survival("nothing") == 0
    assert told.logprobs[0].tolist() == [-1, -2, -3]
    assert told.logprobs[2].tolist() == [-1, -1, -3]
    assert told.logprob("nothing") == -3
    assert told.rates[told.methods.index("whole")] == 1
    assert told.tokens[told.methods.index("nothing")].tolist() == [0, 0, 0]


def test_baselines_get_the_same_rate_and_what_must_survive():
    prompt = " ".join(f"w{i}" for i in range(40))
    told = evaluated([prompt] * 3, ["w1"] * 3, method="truncate", rate=0.25, keep="w39")
    assert told.tokens[:2].tolist() == [[10] * 3] * 2


def test_of_several_answers_the_likeliest_counts():
    told = evaluated(["sea sky land air"], [["fire", "sea"]])
    assert told.logprobs[0].tolist() == [-1]
    assert told.survived[0].tolist() == [1]


def test_questions_and_documents_stay_what_they_are():
    told = evaluated([["one two", "three four"]], ["two"], questions=["which ?"])
    whole = told.methods.index("whole")
    assert told.tokens[whole].tolist() == [6]
    assert told.tokens[told.methods.index("nothing")].tolist() == [2]  # the question


def test_the_gain_is_paired_and_has_an_interval():
    # Ten answers of which the method keeps every one, and nothing keeps none: 2 nats each.
    told = evaluated(["sea sky"] * 10, ["sea"] * 10)
    gain = told.gain("truncate", "nothing")
    assert (gain.mean, gain.half_width) == (2.0, 0.0)
    # A quarter of 1 + 3: differences 2, 2, 0, 0 have a mean of 1, a deviation of 1.1547,
    # and Student's t with 3 degrees of freedom is 3.182.
    told = evaluated(["sea sky", "sea sky", "sky sea", "sky sea"], ["sea"] * 4)
    gain = told.gain("truncate", "nothing")
    assert gain.mean == 1.0
    assert gain.half_width == pytest.approx(3.182 * 1.1547 / 2, abs=2e-3)


def test_prompts_without_answers_to_compare_are_refused():
    for prompts, answers in (([], []), (["a"], ["b", "c"])):
        with pytest.raises(DataError, match="one of each for every prompt"):
            evaluated(prompts, answers)


def test_an_empty_answer_has_no_probability_and_counts_nowhere():
    told = evaluated(["sea sky", "a b"], ["sea", ""])
    assert np.isnan(told.logprobs[:, 1]).all()
    assert told.logprob("whole") == -1


def test_files_with_contexts_are_read(tmp_path):
    contexts = [{"title": "T", "text": "Ada did."}, {"title": "", "text": "No."}]
    row = {"question": "Who?", "answers": ["Ada", "A. L."], "contexts": contexts}
    path = tmp_path / "qa.jsonl"
    path.write_text(json.dumps(row) + "\n")
    held = examples(str(path))
    assert held.prompts == [["T\nAda did.", "No."]]
    assert held.answers == [["Ada", "A. L."]]
    assert held.questions == ["Who?"]


def test_files_of_prompts_and_responses_are_read_and_drawn_by_content(tmp_path):
    rows = [{"prompt": f"p{i}", "response": f"r{i}"} for i in range(20)]
    path, turned = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    turned.write_text("".join(json.dumps(row) + "\n" for row in rows[::-1]))
    first, second = examples(str(path), 5), examples(str(turned), 5)
    assert len(first.prompts) == 5
    assert sorted(first.prompts) == sorted(second.prompts)
    assert [p[1:] for p in first.prompts] == [a[0][1:] for a in first.answers]


def test_contexts_without_answers_are_refused(tmp_path):
    path = tmp_path / "qa.jsonl"
    path.write_text(json.dumps({"question": "Who?", "contexts": ["a"]}) + "\n")
    with pytest.raises(DataError, match="need a question and answers"):
        examples(str(path))
