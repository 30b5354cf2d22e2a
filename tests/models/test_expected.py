import json
from pathlib import Path

import numpy as np
import pytest

from tamis.data.features import FeatureStore
from tamis.models.base import TokenLogprobs
from tamis.models.expected import ExpectedGrade, expected
from tamis.models.judges import Judge

GOLDEN = Path(__file__).parents[1] / "golden" / "deita_filter.json"
SCORED = json.loads(GOLDEN.read_text())["scorer"]
TEMPLATE = "Q: {instruction} A: {output} Grade: "


class Digits:
    """A model whose next token is a digit, with the logits that stand in the prompt."""

    fingerprint = "digits"

    def __init__(self):
        self.asked = []

    def logprobs(self, prompts, continuations=None):
        self.asked += prompts
        return [self._scored(*asked) for asked in zip(prompts, continuations, strict=True)]

    def _scored(self, prompt, digit):
        logits = [float(word) for word in prompt.split() if word[-1:].isdigit()]
        loss = np.array([logits[int(digit) - 1] - 7.0], np.float32)  # 7: other tokens' share
        return TokenLogprobs(digit, np.array([[0, 1]]), np.array([int(digit)]), loss)

    def generate(self, prompts, **how):
        raise NotImplementedError


@pytest.fixture
def judge(tmp_path):
    return ExpectedGrade(Digits(), TEMPLATE, store=FeatureStore(tmp_path), progress=False)


@pytest.mark.parametrize("case", SCORED, ids=range(len(SCORED)))
def test_the_grade_is_that_of_the_authors_formula(case, judge):
    logits = case["logits_1_to_6"]
    assert expected(np.array([logits])) == pytest.approx([case["expected"]], rel=1e-6)
    prompt = " ".join(map(str, logits))
    assert judge.rate([prompt], ["fine"]).scores == pytest.approx([case["expected"]], rel=1e-6)


def test_it_is_a_judge_that_writes_nothing(judge):
    found = judge.rate(["1 1 1 1 1 1", "0 0 0 0 0 50"], ["", ""])
    assert isinstance(judge, Judge)
    assert found.scores == pytest.approx([3.5, 6])
    assert found.words == ["", ""]


def test_the_question_is_the_template_s(judge):
    judge.rate(["1 2 3 4 5 6 {curly} {output}"], ["{instruction}"])
    asked = "Q: 1 2 3 4 5 6 {curly} {output} A: {instruction} Grade: "
    assert judge.lm.asked == [asked] * 6


def test_what_does_not_fit_has_no_grade_and_says_why(tiny, tmp_path):
    judge = ExpectedGrade(tiny, TEMPLATE, store=FeatureStore(tmp_path), progress=False)
    found = judge.rate(["sea " * 2000, "Name the sea."], ["blue", "blue"])
    assert np.isnan(found.scores).tolist() == [True, False]
    assert found.words[0].endswith("longer than the model's context")
    assert found.words[1] == ""
    assert 1 <= found.scores[1] <= 6


def test_another_question_is_another_judge(judge):
    assert judge.fingerprint != ExpectedGrade(judge.lm, "Else {instruction}: ").fingerprint
    other = Digits()
    other.fingerprint = "other digits"
    assert judge.fingerprint != ExpectedGrade(other, TEMPLATE).fingerprint


def test_chances_that_are_all_small_are_still_chances():
    assert expected(np.array([[-2000.0] * 6, [-2000.0] * 5 + [0.0]])).tolist() == [3.5, 6]


def test_a_chance_that_is_unknown_is_no_grade():
    assert np.isnan(expected(np.array([[0.0, 0, np.nan, 0, 0, 0]]))).all()


def test_nothing_asked_is_nothing_answered(judge):
    assert judge.rate([], []).scores.tolist() == []
