import json
from pathlib import Path

import pytest

from tamis.errors import SettingError
from tamis.prompting.generation.induction import instruction_in
from tamis.prompting.generation.metrics import measure

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "golden" / "instructions.json").read_text(encoding="utf-8")
)["instruction_induction"]


@pytest.mark.parametrize("case", GOLDEN["metrics"], ids=lambda case: case["prediction"])
@pytest.mark.parametrize(
    ("metric", "released"),
    [("exact", "em"), ("f1", "f1"), ("set", "exact_set"), ("contains", "contains")],
)
def test_measures_are_those_of_the_released_code(case, metric, released):
    found = measure(metric, case["prediction"], [case["gold"]], reference=True)
    assert found == pytest.approx(float(case["expected"][released]))


@pytest.mark.parametrize(
    "case", GOLDEN["normalise_instruction"], ids=lambda case: case["raw"].replace("\n", " ")
)
def test_instructions_are_read_as_the_released_code_reads_them(case):
    assert instruction_in(case["raw"]) == case["expected"]


def test_a_point_in_a_number_ends_no_answer_unless_the_released_code_is_asked_for():
    assert measure("exact", "3.5", ["3"]) == 0
    assert measure("exact", "3.5", ["3"], reference=True) == 1


def test_to_is_dropped_as_a_word_alone():
    assert instruction_in("tomorrow's date") == "tomorrow's date"


def test_any_of_the_right_answers_will_do():
    assert measure("exact", "Cat", ["dog", "cat"]) == 1


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(SettingError, match="no metric 'exakt'; did you mean 'exact'"):
        measure("exakt", "", [""])
