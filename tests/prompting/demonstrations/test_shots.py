import numpy as np
import pytest

from tamis.errors import SettingError
from tamis.prompting.demonstrations import Example, Shots, Template, render

TWO = Shots((Example("2 + 2", "4"), Example("3 + 3", "6")), np.array([5, 1]), np.array([0.1, 0.9]))


def test_a_plain_prompt_ends_where_the_answer_begins():
    template = Template(instruction="Add.")
    prompt = TWO.prompt("1 + 1", template)
    assert prompt == (
        "Add.\n\nInput: 2 + 2\nOutput: 4\n\nInput: 3 + 3\nOutput: 6\n\nInput: 1 + 1\nOutput:"
    )
    # What is scored is what an example has there, blank and all.
    whole = TWO.taken([0]).prompt("3 + 3") + Template().continuation("6")
    assert whole == TWO.prompt("")[: len(whole)]


def test_a_chat_prompt_has_a_turn_each():
    template = Template(chat=True, instruction="Add.")
    turns = TWO.prompt("1 + 1", template)
    assert [turn["role"] for turn in turns] == [
        "system", "user", "assistant", "user", "assistant", "user",
    ]  # fmt: skip
    assert [turn["content"] for turn in turns][-2:] == ["6", "1 + 1"]
    assert template.continuation("2") == "2"


def test_what_an_example_says_is_no_template():
    odd = Shots((Example("{response} {prompt} {0}", "{prompt}"),), np.zeros(1, int), np.zeros(1))
    assert odd.prompt("{response}") == (
        "Input: {response} {prompt} {0}\nOutput: {prompt}\n\nInput: {response}\nOutput:"
    )


@pytest.mark.parametrize("example", ["{prompt}", "{response} {prompt}", "{prompt}" * 2])
def test_a_template_without_both_places_is_refused(example):
    with pytest.raises(SettingError, match=r"give a text with \{prompt\} and then \{response\}"):
        Template(example=example)


def test_many_queries_may_share_demonstrations():
    assert render(TWO, ["a", "b"]) == [TWO.prompt("a"), TWO.prompt("b")]
    assert render([TWO, TWO.taken([1])], ["a", "b"]) == [
        TWO.prompt("a"),
        TWO.taken([1]).prompt("b"),
    ]


def test_another_order_takes_rows_and_scores_along():
    turned = TWO.taken([1, 0])
    assert turned.examples == TWO.examples[::-1]
    assert turned.rows.tolist() == [1, 5]
    assert turned.scores.tolist() == [0.9, 0.1]
