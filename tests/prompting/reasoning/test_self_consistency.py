from itertools import product

import pytest

from tamis.errors import SettingError
from tamis.prompting.reasoning import ChainOfThought, Exemplar, ReAct, SelfConsistency
from tamis.prompting.reasoning.answers import agreed
from tamis.prompting.reasoning.self_consistency import _ahead, settled
from tests.prompting.reasoning.conftest import Player, always


class Drawn(Player):
    """A model whose samples come from a list, in order."""

    def __init__(self, answers):
        super().__init__(None)
        self.left = list(answers)

    def generate(self, prompts, **how):
        self.hows.append(how)
        self.part = lambda text, sample: self.left.pop(0)
        return super().generate(prompts, **how)


def drawn(*answers, **how):
    lm = Drawn(f"Step. The answer is {one}." if one else "I do not know." for one in answers)
    (solution,) = SelfConsistency(lm, samples=len(answers), **how).solve(["?"])
    return solution


def test_the_most_frequent_answer_wins_and_what_has_none_does_not_vote():
    solution = drawn("5", "5.0", "7", None, together=4)
    assert (solution.answer, solution.calls) == ("5", 4)
    assert solution.trace.of("vote") == ["5: 2, 7: 1"]
    assert solution.reasoning == "Step. The answer is 5."


def test_of_a_tie_the_answer_first_reached_wins():
    assert drawn("7", "5", "5", "7").answer == "7"


def test_one_sample_is_that_sample():
    assert drawn("9").answer == "9"
    assert drawn(None).stopped == "no answer found"


def test_an_early_stop_never_changes_the_winner():
    for votes in product("ab", repeat=7):
        early = drawn(*votes, together=1)
        assert early.answer == agreed(votes)[0][0]
        assert early.calls <= 7
        assert (early.stopped == "settled") == (early.calls < 7)


def test_draws_stop_once_no_other_answer_can_win():
    solution = drawn(*["5"] * 20, together=5)
    assert (solution.calls, solution.stopped) == (15, "settled")  # 11 of 20 would do
    solution = drawn(*["5"] * 20, together=5, confidence=0.95)
    assert (solution.calls, solution.stopped) == (5, "settled")  # P = 1 − 2⁻⁶


def test_the_chance_of_being_ahead_is_that_of_the_beta_distribution():
    import numpy as np

    rng = np.random.default_rng(0)
    for first, second in ((5, 0), (6, 2), (3, 3), (9, 4)):
        share = (rng.beta(first + 1, second + 1, size=200_000) > 0.5).mean()
        assert _ahead(first, second) == pytest.approx(share, abs=0.005)
    assert _ahead(0, 0) == 0.5


def test_a_tie_is_settled_only_at_the_end():
    assert not settled([3, 3], left=1)
    assert settled([3, 3], left=0)
    assert not settled([], left=4)
    assert not settled([], left=4, confidence=0.6)


def test_three_samples_of_a_model_that_is_right_seven_times_in_ten_are_right_more_often():
    # p³ + 3 p² (1 − p) = 0.784
    import numpy as np

    rng = np.random.default_rng(0)
    right = rng.random((3000, 3)) < 0.7
    answers = [drawn(*["yes" if one else "no" for one in row]).answer for row in right]
    assert np.mean([answer == "yes" for answer in answers]) == pytest.approx(0.784, abs=0.025)


def test_draws_of_one_question_differ_from_look_to_look():
    lm = always("The answer is 7.")
    SelfConsistency(lm, samples=15, together=5).solve(["?"])
    assert len({how["seed"] for how in lm.hows}) == len(lm.hows)


def test_a_weak_majority_asks_another_program_and_that_may_ask_back():
    other = ChainOfThought(None, exemplars=[Exemplar("1?", "1.", "1")])

    def part(text, sample):
        return "The answer is 42." if "1?" in text else f"The answer is {sample}."

    lm = Player(part)
    (solution,) = SelfConsistency(lm, samples=4, together=4, fallback=other).solve(["?"])
    assert solution.answer == "42"
    assert solution.trace.of("fallback") == ["cot"]
    back = ReAct(lm, steps=1, fallback=SelfConsistency(None, samples=3, together=3))
    assert back.solve(["?"])[0].trace.of("fallback") == ["self-consistency"]


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingError, match=r"confidence=0\.5"):
        SelfConsistency(always(""), confidence=0.5)
