import numpy as np
import pytest

from tamis.selectors.rules import Rule

AT_LEAST = Rule("min_votes", "votes", True, "{figure:g} votes, fewer than {limit:,}")
AT_MOST = Rule("max_votes", "votes", False, "{figure:g} votes, more than {limit:,}")
SIGNALS = {"votes": np.array([1.0, 2, 3, np.nan])}


@pytest.mark.parametrize(
    ("rule", "failed"),
    [(AT_LEAST, [True, False, False, True]), (AT_MOST, [False, False, True, True])],
)
def test_a_row_fails_beyond_the_limit_or_without_a_figure(rule, failed):
    assert rule.fails(SIGNALS, 2).tolist() == failed


def test_yes_or_no_is_held_against_no():
    rule = Rule("echo", "echo", False, "response repeats the prompt")
    assert rule.fails({"echo": np.array([True, False])}, 0).tolist() == [True, False]
    assert rule.says(np.True_, 0) == "response repeats the prompt"


def test_what_is_said_of_a_row_without_a_figure_is_no_number():
    assert AT_MOST.says(1200.0, 1000) == "1200 votes, more than 1,000"
    assert AT_MOST.says(np.nan, 1000) == "no votes"
