"""Induction, APE and OPRO against a model whose best instruction is known."""

import re

import numpy as np
import pytest

from tamis.errors import DataError, ModelError
from tamis.models.base import TokenLogprobs
from tamis.prompting.generation import induce, optimize
from tamis.prompting.generation.induction import halved
from tests.prompting.generation.players import Player

WORDS = """
moon star tree stone river cloud apple bread chair table lamp door wall roof road hill lake
sand wind rain snow fire salt rice corn bean leaf root seed bark
""".split()  # noqa: SIM905
EXAMPLES = [{"input": word, "output": word[::-1]} for word in WORDS]
GUESSES = ["copy the word", "reverse the word", "Reverse the WORD", "shout the word", ""]


def follow(prompt):
    word = next(word for word in prompt.split() if word in WORDS)
    if "reverse" in prompt.lower():
        return word[::-1]
    if "half" in prompt:
        return word[::-1] if len(word) % 2 else word
    return word.upper() if "shout" in prompt else word


def play(prompt, how):
    if prompt.endswith("The instruction was"):
        guess = GUESSES[how["draw"] % len(GUESSES)]
        return f" to {guess}\nand more" if guess else " "
    if prompt.startswith("Generate a variation"):
        told = re.search(r"Input: (.*)\nOutput:", prompt)[1]
        return f"please {told}"
    return follow(prompt)


class Scored(Player):
    """Knows how likely an answer is: the fewer letters stand elsewhere, the likelier."""

    def logprobs(self, prompts, continuations=None):
        self.asked += prompts
        return [
            self._scored(follow(prompt), text.strip())
            for prompt, text in zip(prompts, continuations, strict=True)
        ]

    def _scored(self, said, gold):
        far = np.array([-float(a != b) for a, b in zip(said, gold, strict=True)], np.float32)
        at = np.arange(len(gold))
        return TokenLogprobs(gold, np.stack([at, at + 1], 1), at, far)


def found(model=None, **settings):
    return induce(EXAMPLES, model or Player(play), progress=False, **settings)


@pytest.mark.parametrize("by", ["accuracy", "logprob"])
def test_the_instruction_behind_the_examples_is_found(by):
    search = found(Scored(play), by=by)
    assert search.instruction == "reverse the word"
    assert search.score == search.test == (1 if by == "accuracy" else 0)
    assert search.baseline < search.test
    assert search.ended == "done"


def test_equal_guesses_are_tried_once_and_leaders_on_more_examples():
    search = found()
    assert halved(16) == [8, 16]
    tried = [(trial.instruction, trial.examples) for trial in search.trials]
    assert tried == [
        ("copy the word", 8), ("reverse the word", 8), ("shout the word", 8),
        ("reverse the word", 16), ("copy the word", 16),
    ]  # fmt: skip


def test_no_example_that_proposes_or_reports_decides():
    model = Player(play)
    found(model, subsets=50)
    shown = {word for prompt in model.asked if prompt.endswith("instruction was")
             for word in re.findall(r"Input: (\w+)", prompt)}  # fmt: skip
    tried = [prompt for prompt in model.asked if prompt.startswith("Instruction: copy")]
    decided = {re.search(r"Input: (\w+)", prompt)[1] for prompt in tried}
    assert shown
    assert decided
    assert not shown & decided


def test_variations_of_the_leaders_are_tried_too():
    search = found(variations=2)
    assert search.instruction == "reverse the word"  # an equal variation does not displace it
    assert "please reverse the word" in {trial.instruction for trial in search.trials}
    assert {trial.origin for trial in search.trials} == {"induced", "variation"}


def test_a_limit_gives_the_best_so_far_and_more_never_a_worse_one():
    # 50 proposals are 10 requests; the first stage 24, the second 32, the report 16.
    scores = []
    for requests in (34, 66, 200):
        model = Player(play, fingerprint=f"with {requests}")
        search = found(model, requests=requests)
        assert search.spent.requests == len(model.asked) <= requests
        scores.append(search.score)
    assert scores == sorted(scores)
    assert search.ended == "done"
    with pytest.raises(ModelError, match=r"no instruction could be tried \(requests: "):
        found(Player(play, fingerprint="poor"), requests=12)


def test_a_search_that_was_killed_asks_only_for_the_rest():
    whole = Player(play)
    first = found(whole)
    again = Player(play)
    assert found(again).trials == first.trials
    assert again.asked == []


def test_too_few_examples_are_refused():
    with pytest.raises(DataError, match="7 examples have an input and an output; give at least 8"):
        induce(EXAMPLES[:7], Player(play))


def test_a_model_that_says_nothing_is_one_line():
    with pytest.raises(ModelError, match="no instruction could be tried"):
        found(Player(lambda prompt, how: "x" if "Input:" in prompt[:20] else "  \n"))


def test_the_way_there_is_a_table_and_a_plot(tmp_path):
    search = found(variations=1)
    table = search.trajectory
    assert {"search", "method", "step", "instruction", "score", "best"} <= set(table.column_names)
    on_all = [row for row in table if row["examples"] == 16]
    assert [row["best"] for row in on_all] == sorted(row["best"] for row in on_all)
    assert "<svg" in search.plot(tmp_path / "way.svg").read_text(encoding="utf-8")
    assert (search.folder / "trajectory.svg").exists()


def test_the_catalogue_has_the_way_there():
    import tamis

    search = found()
    rows = tamis.catalog().sql(
        "SELECT method, instruction FROM trajectories ORDER BY examples DESC, score DESC"
    )
    told = rows.fetchall()
    assert told[0] == ("induce", "reverse the word")
    assert len(told) == len(search.trials)


def climbing(prompt, how):
    """An optimizer that goes one better than the last it is shown."""
    if prompt.startswith("Your task is to write"):
        shown = re.findall(r"text:\n(.*)\nscore:\n(\d+)", prompt)
        best = shown[-1][0]
        better = {"": "shout it", "shout it": "half of them", "half of them": "Reverse it."}
        more = better.get(best.lower(), "shout it")
        return f"Sure! [{more}] is good." if how["draw"] else "[Shout it]"
    return follow(prompt)


def test_opro_climbs_to_the_best():
    search = optimize(EXAMPLES, Player(climbing), start=[""], steps=5, samples=2, progress=False)
    assert search.instruction == "Reverse it."
    assert search.score == search.test == 1
    steps = [(trial.step, trial.instruction) for trial in search.trials]
    assert steps[0] == (0, "")
    assert len({text.casefold() for _, text in steps}) == len(steps)  # none is tried twice
    again = optimize(EXAMPLES, Player(climbing), start=[""], steps=5, samples=2, progress=False)
    assert again.trials == search.trials


def test_opro_shows_the_best_last_and_where_the_instruction_goes():
    model = Player(climbing)
    optimize(
        EXAMPLES, model, start=["", "shout it"], steps=3, samples=2, position="q-end",
        remembered=2, progress=False,
    )  # fmt: skip
    asked = [prompt for prompt in model.asked if prompt.startswith("Your task is to write")]
    for prompt in asked:
        scores = [int(score) for score in re.findall(r"score:\n(\d+)", prompt)]
        assert scores == sorted(scores)
        assert len(scores) <= 2
        assert prompt.count("\n<INS>\nA:\noutput:") == 3
    assert len(asked) == 3


def test_opro_stops_at_a_limit_with_the_best_so_far():
    search = optimize(
        EXAMPLES, Player(climbing), start=[""], steps=9, samples=2, requests=40, progress=False
    )
    assert search.ended.startswith("requests: ")
    assert search.spent.requests <= 40
    assert np.isnan(search.test)


def test_another_model_may_propose():
    leader, follower = Player(climbing, fingerprint="leader"), Player(climbing)
    search = optimize(
        EXAMPLES, follower, optimizer=leader, start=[""], steps=4, samples=2, progress=False
    )
    assert search.instruction == "Reverse it."
    assert all(prompt.startswith("Your task") for prompt in leader.asked)
    assert not any(prompt.startswith("Your task") for prompt in follower.asked)
