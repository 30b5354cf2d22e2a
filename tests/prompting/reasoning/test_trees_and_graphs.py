import re
from itertools import pairwise, permutations

import pytest

from tamis.errors import SettingError
from tamis.prompting.reasoning import ChainOfThought, GraphOfThoughts, TreeOfThoughts
from tamis.prompting.reasoning.graph_of_thoughts import (
    Aggregate,
    Generate,
    GroundTruth,
    KeepBest,
    Refine,
    Score,
    Split,
    Thought,
    ValidateAndImprove,
)
from tests.prompting.reasoning.conftest import Player, always

PLACES = {
    "propose": "PROPOSE {question}\n{steps}",
    "sample": "SAMPLE {question}\n{steps}",
    "value": "VALUE {question}\n{steps}",
    "vote": "VOTE {question}\n{choices}",
    "answer": "ANSWER {question}\n{steps}",
}


def climber(wanted):
    """A model that proposes digits, knows which prefixes lead to `wanted`, and reads it out."""

    def part(text, sample):
        steps = re.findall(r"^\d$", text, re.MULTILINE)
        if text.startswith("PROPOSE"):
            return "1. 3\n2. 1\n- 2\n2\n"
        if text.startswith("SAMPLE"):
            return str(sample % 3 + 1)
        if text.startswith("VALUE"):
            said = "".join(steps)
            return "It is sure" if wanted.startswith(said) else "likely? No: impossible."
        return f"The answer is {''.join(steps)}."

    return Player(part)


@pytest.mark.parametrize("wanted", ["".join(one) for one in permutations("123")])
@pytest.mark.parametrize("search", ["bfs", "dfs"])
def test_with_a_perfect_judge_any_goal_within_reach_is_found(wanted, search):
    lm = climber(wanted)
    program = TreeOfThoughts(lm, prompts=PLACES, branch=4, beam=1, search=search)
    (solution,) = program.solve(["code"])
    assert solution.answer == wanted


def test_drawn_steps_find_it_too():
    program = TreeOfThoughts(climber("312"), prompts=PLACES, branch=6, beam=2, generate="sample")
    assert program.solve(["code"])[0].answer == "312"


def test_a_depth_is_one_round_and_copies_are_valued_once():
    lm = climber("123")
    TreeOfThoughts(lm, prompts=PLACES, branch=4, beam=2, thoughts=2).solve(["code"])
    kinds = [[text.split()[0] for text in texts] for texts in lm.rounds]
    assert kinds == [
        ["PROPOSE"], ["VALUE"] * 3, ["PROPOSE"] * 2, ["VALUE"] * 6, ["ANSWER"],
    ]  # fmt: skip
    judged = [how["n"] for how, kind in zip(lm.hows, kinds, strict=True) if kind[0] == "VALUE"]
    assert judged == [3, 3]


def test_equal_values_go_to_the_step_proposed_first():
    def part(text, sample):
        return "b\na\nc" if text.startswith("PROPOSE") else "likely"

    lm = Player(part)
    (solution,) = TreeOfThoughts(lm, prompts=PLACES, thoughts=1, beam=1).solve(["?"])
    assert solution.reasoning.splitlines()[0] == "b"


def test_votes_choose_among_all_at_once():
    def part(text, sample):
        if text.startswith("PROPOSE"):
            return "left\nright\nup"
        if text.startswith("VOTE"):
            return "Choice 1 is bad. The best choice is number 2." if sample % 3 else "choice is 99"
        return "The answer is done."

    lm = Player(part)
    program = TreeOfThoughts(lm, prompts=PLACES, thoughts=1, beam=1, evaluate="vote", samples=5)
    (solution,) = program.solve(["?"])
    assert solution.reasoning.splitlines()[0] == "right"


def test_a_dead_end_is_left_and_the_search_goes_back():
    # From 'a' all is impossible: the search comes back to 'b', the second best.
    def part(text, sample):
        if text.startswith("PROPOSE"):
            return "x\ny" if re.search(r"^[ab]$", text, re.MULTILINE) else "a\nb"
        if text.startswith("VALUE"):
            if re.search(r"^[xy]$", text, re.MULTILINE):
                return "sure" if re.search(r"^b$", text, re.MULTILINE) else "impossible"
            return "sure" if re.search(r"^a$", text, re.MULTILINE) else "likely"
        return "The answer is found."

    program = TreeOfThoughts(Player(part), prompts=PLACES, thoughts=2, search="dfs")
    (solution,) = program.solve(["?"])
    assert solution.reasoning.splitlines()[:2] == ["b", "x"]
    stuck = TreeOfThoughts(Player(part), prompts=PLACES, thoughts=2, search="dfs", visits=2)
    assert stuck.solve(["?"])[0].reasoning.splitlines()[0] == "a"  # as far as it came


def test_a_way_of_searching_that_is_unknown_is_refused():
    with pytest.raises(SettingError, match="search='best'; give bfs or dfs"):
        TreeOfThoughts(always(""), search="best")


def numbers(text):
    return [int(word) for word in re.findall(r"\d+", text)]


def disorder(question, thought):
    """Minus the published error: adjacent inversions, and counts that differ."""
    given, found = numbers(question), numbers(thought)
    unsorted = sum(a > b for a, b in pairwise(found))
    return -(unsorted + sum(abs(given.count(d) - found.count(d)) for d in range(10)))


def inversions(question, thought):
    return -sum(a > b for a, b in pairwise(numbers(thought)))


def halves(text):
    all_ = numbers(text)
    return [str(all_[: len(all_) // 2]), str(all_[len(all_) // 2 :])]


def sorter(text, sample):
    """Sorts right on every second draw; merges right."""
    found = numbers(text.split(":", 1)[1])
    return str(sorted(found) if text.startswith("merge") or sample % 2 else found)


def sorting():
    split = Split(halves)
    sort = Generate(lambda question, thought: f"sort: {thought}", k=4, after=[split])
    score = Score(inversions, after=[sort])
    best = KeepBest(1, after=[score])
    merge = Aggregate(lambda question, parts: f"merge: {' '.join(parts)}", after=[best])
    return GroundTruth(lambda question, thought: disorder(question, thought) == 0, after=[merge])


def test_a_list_is_sorted_in_halves_and_merged():
    lm = Player(sorter)
    (solution,) = GraphOfThoughts(lm, last=sorting(), whole=True).solve(["5 2 9 1 7 3 8 0"])
    assert numbers(solution.answer) == [0, 1, 2, 3, 5, 7, 8, 9]
    assert [len(texts) for texts in lm.rounds] == [2, 1]  # both halves at once


def test_the_published_error_of_a_sort():
    assert disorder("[0, 1, 2]", "[1, 0, 2]") == -1
    assert disorder("[0, 1, 2]", "[0, 1, 2]") == 0
    assert disorder("[0, 1, 2]", "[0, 1]") == -1


def test_branches_that_do_not_wait_run_side_by_side():
    left = Generate(lambda question, thought: f"left: {question}")
    right = Generate(lambda question, thought: f"right: {question}")
    merge = Aggregate(lambda question, parts: " and ".join(parts), after=[left, right])
    lm = Player(lambda text, sample: text.split(":")[0])
    (solution,) = GraphOfThoughts(lm, last=merge, whole=True).solve(["q"])
    assert lm.rounds == [["left: q", "right: q"], ["left and right"]]
    assert solution.answer == "left and right"


def test_one_branch_is_a_chain_of_thought():
    said = "So it is 7. The answer is 7."
    chain = Generate(lambda question, thought: f"Q: {question}\nA:")
    graph = GraphOfThoughts(always(said), last=chain).solve(["?"])[0]
    plain = ChainOfThought(always(said))
    assert graph.answer == plain.solve(["?"])[0].answer == "7"


def test_a_circle_is_refused():
    first = Generate(lambda question, thought: "")
    second = Refine(lambda question, thought: "", after=[first])
    first.after = [second]
    with pytest.raises(SettingError, match="waits for itself; give a graph without circles"):
        GraphOfThoughts(always(""), last=second)


def test_what_a_check_refuses_is_improved_until_it_passes_or_tries_end():
    lm = Player(lambda text, sample: text + "!")
    mend = ValidateAndImprove(
        lambda question, thought: thought.count("!") >= 2, lambda question, thought: thought
    )
    (solution,) = GraphOfThoughts(lm, last=mend, whole=True).solve(["go"])
    assert (solution.answer, solution.calls) == ("go!!", 2)
    never = ValidateAndImprove(lambda q, t: False, lambda q, t: t, tries=3)
    assert GraphOfThoughts(lm, last=never, whole=True).solve(["go"])[0].calls == 3


def test_the_volume_of_a_thought_is_how_many_lead_to_it():
    start = Thought("s")
    left, right = start.made("l"), start.made("r")
    assert Thought("m", (left, right)).volume == 3
    assert start.volume == 0
