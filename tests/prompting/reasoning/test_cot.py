import numpy as np
import pytest
from doubles import Letters

from tamis.errors import DataError, SettingError
from tamis.prompting.reasoning import AutoCoT, ChainOfThought, ContrastiveCoT, Exemplar
from tamis.prompting.reasoning.contrastive_cot import shuffled
from tests.prompting.reasoning.conftest import Player, always

SHOWN = [Exemplar("1 + 1?", "One and one are 2.", "2"), Exemplar("2 + 2?", "They are 4.", "4")]


def test_worked_examples_are_written_as_in_the_paper():
    lm = always(" So 6. The answer is 6.\n\nQ: 9?")
    (solution,) = ChainOfThought(lm, exemplars=SHOWN, chat=False).solve(["3 + 3?"])
    assert lm.rounds == [
        [
            "Q: 1 + 1?\nA: One and one are 2. The answer is 2.\n\n"
            "Q: 2 + 2?\nA: They are 4. The answer is 4.\n\nQ: 3 + 3?\nA:"
        ]
    ]
    assert solution.answer == "6"
    assert solution.reasoning == "So 6. The answer is 6."  # stopped at the model's own question


def test_without_examples_the_second_call_holds_what_the_first_said():
    lm = Player(lambda text, sample: " 6.\nQ: x" if "Therefore" in text else " Three and three.")
    (solution,) = ChainOfThought(lm, kind="number", chat=False).solve(["3 + 3?"])
    first, second = (texts[0] for texts in lm.rounds)
    assert first == "Q: 3 + 3?\nA: Let's think step by step."
    assert second == first + " Three and three.\nTherefore, the answer (arabic numerals) is"
    assert solution.answer == "6"
    assert solution.trace.of("thought") == [" Three and three."]


def test_in_chat_the_same_text_is_the_user_s_turn():
    class Chat(Player):
        def generate(self, prompts, **how):
            assert all(prompt[0]["role"] == "user" for prompt in prompts)
            return super().generate(prompts, **how)

    assert ChainOfThought(Chat(lambda *_: "The answer is 6."), exemplars=SHOWN).solve(["?"])


def kinds():
    return [f"{kind} {i} {kind}" for kind in ("cats", "ships", "stars") for i in range(6)]


def test_each_cluster_gives_its_nearest_acceptable_question():
    def part(text, sample):
        if "ships" in text:  # its reasoning is always too long
            return " 3." if "Therefore" in text else "\n".join("abcdefgh")
        return " 5." if "Therefore" in text else " It is 5."

    program = AutoCoT(Player(part), embedder=Letters(), k=3, kind="number", seed=1)
    exemplars = program.exemplars(kinds())
    assert sorted(one.question.split()[0] for one in exemplars) == ["cats", "stars"]
    assert all(one.answer == "5" and one.rationale == "It is 5." for one in exemplars)
    assert program.exemplars(kinds()[::-1]) == exemplars


def test_the_nearest_to_the_middle_is_tried_first():
    asked = []

    def part(text, sample):
        if "Therefore" not in text:
            asked.append(text.split("Q: ")[1].split("\n")[0])
        return " 5."

    questions = ["cat", "cat cat dog", "cat dog", "dog"]
    AutoCoT(Player(part), embedder=Letters(), k=1).exemplars(questions)
    points = Letters().embed(sorted(questions))
    middle = points.mean(axis=0)
    middle /= np.linalg.norm(middle)
    nearest = sorted(questions)[int(np.linalg.norm(points - middle, axis=1).argmin())]
    assert asked == [nearest]


def test_long_questions_and_answers_from_nowhere_make_no_example():
    long = "word " * 61
    lm = Player(lambda text, sample: " 9." if "Therefore" in text else " It is 5.")
    program = AutoCoT(lm, embedder=Letters(), k=1, kind="number")
    assert program.exemplars([long]) == []
    assert program.exemplars(["short"]) == []  # 9 does not stand in the last step
    with pytest.raises(DataError, match="none of 0 questions has a vector"):
        program.exemplars([""])


def test_the_questions_are_then_asked_with_these_examples():
    lm = Player(lambda text, sample: " 5." if "Therefore" in text else " It is 5.")
    AutoCoT(lm, embedder=Letters(), k=3).solve(kinds()[:6])
    assert all(text.count("The answer is 5.") >= 1 for text in lm.rounds[-1])
    assert len(lm.rounds[-1]) == 6


TEXTS = [
    "She had 5 and got 7 more, so 5 + 7 = 12 in all.",
    "It rained in Bergen on 3 days, and in Oslo on 4.",
    "Prices rose from $1,200 to $1,500, which is 25%.",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("seed", range(5))
def test_objects_change_places_and_nothing_else_does(text, seed):
    import re

    pieces = re.compile(r"[$]?\d[\d,]*\d(?:\.\d+)?%?|\d+%?|Bergen|Oslo|[-+=]")
    wrong = shuffled(text, seed)
    assert wrong != text
    assert sorted(pieces.findall(wrong)) == sorted(pieces.findall(text))
    assert pieces.sub("", wrong).split() == pieces.sub("", text).split()


def test_there_is_no_wrong_explanation_where_all_objects_are_equal():
    assert shuffled("Take 3, and 3 again.") is None
    assert shuffled("Nothing here.") is None
    with pytest.raises(SettingError, match="no exemplar has two different numbers"):
        ContrastiveCoT(always(""), exemplars=[Exemplar("?", "Take 3 and 3.", "3")])


def test_both_explanations_are_shown():
    lm = always(" 3 and 3 are 6. The answer is 6.\nWrong explanation: 9")
    shown = [Exemplar("1 + 2?", "1 and 2 are 3.", "3"), Exemplar("?", "None.", "0")]
    (solution,) = ContrastiveCoT(lm, exemplars=shown).solve(["3 + 3?"])
    (text,) = lm.rounds[0]
    assert "Explanation: 1 and 2 are 3.\nAnswer: 3\nWrong explanation: " in text
    assert "None." not in text  # nothing to exchange in it: left out
    assert text.endswith("Question: 3 + 3?\nExplanation:")
    assert solution.answer == "6"
