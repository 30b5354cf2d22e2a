import json
import re
from pathlib import Path

import numpy as np
import pytest

from tamis.prompting.generation.opro import climb, history, proposed
from tamis.prompting.generation.search import Trial

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "golden" / "instructions.json").read_text(encoding="utf-8")
)["opro"]


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_history_is_shown_as_the_released_code_shows_it(case):
    trials = [Trial(step, text, score, 1, "") for text, score, step in GOLDEN["history"]]
    given = case["params"]
    assert (
        history(
            trials,
            most=given["max_num_instructions"],
            threshold=given["old_instruction_score_threshold"],
            buckets=given["num_score_buckets"],
        )
        == case["expected"]
    )


@pytest.mark.parametrize(
    ("said", "instruction"),
    [
        ("[Take a breath.]", "Take a breath."),
        ('"Take a breath."\nBecause it helps.', "Take a breath."),
        ("", ""),
        ("[" + "x" * 600 + "]", ""),
        ("a\x00b\x1b", "ab"),
    ],
)
def test_an_instruction_is_taken_from_an_answer_and_bounded(said, instruction):
    assert proposed(said) == instruction


def test_the_same_loop_fits_a_line():
    # The paper's other task: (w, b) of a line, by pairs and their errors; truth is (3, -2).
    x = np.arange(10)
    y = 3 * x - 2

    def score(texts):
        pairs = [np.array(re.findall(r"-?\d+", text), int) for text in texts]
        return [-float(np.abs(y - (w * x + b)).sum()) for w, b in pairs]

    def propose(step, trials):
        w, b = (
            int(n) for n in re.findall(r"-?\d+", max(trials, key=lambda t: t.score).instruction)
        )
        return [f"w={w + dw} b={b + db}" for dw in (-1, 0, 1) for db in range(-5, 6)]

    trials, ended = climb(propose, score, ["w=9 b=9"], steps=20)
    best = max(trials, key=lambda trial: trial.score)
    assert (best.instruction, best.score) == ("w=3 b=-2", 0)
    assert len({trial.instruction for trial in trials}) == len(trials)
    assert ended == "done"
