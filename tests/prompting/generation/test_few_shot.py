"""Few-shot answers and induction as generators, against a model that plays a known part."""

import re

import tamis
from tamis.data.ids import example_ids, id_texts
from tamis.prompting.generation import FewShot, Induce
from tests.prompting.generation.players import Player
from tests.prompting.generation.test_induction import EXAMPLES, play

SOLVED = [
    {"prompt": f"capital of {land}", "response": town}
    for land, town in [("France", "Paris"), ("Italy", "Rome"), ("Spain", "Madrid")]
] + [{"prompt": f"{n} plus {n}", "response": str(2 * n)} for n in (2, 3, 4)]
QUESTIONS = [{"prompt": "capital of Austria"}, {"prompt": "7 plus 7"}, {"prompt": "9 plus 9"}]


def reader(prompt, how):
    """Knows how many examples it was shown, and of what kind the first is."""
    first = re.search(r"capital|plus", prompt)[0]
    return f" {first}, {prompt.count('Output:') - 1} shown"


def made(script=reader, **settings):
    method = FewShot(Player(script), target=SOLVED, retriever="bm25", shown=2, **settings)
    return method, method.generate(QUESTIONS, progress=False)


def test_each_question_is_answered_after_examples_of_its_kind():
    _, pool = made()
    assert {row["instruction"]: row["output"] for row in pool} == {
        "capital of Austria": "capital, 2 shown",
        "7 plus 7": "plus, 2 shown",
        "9 plus 9": "plus, 2 shown",
    }


def test_rows_say_which_examples_were_shown():
    _, pool = made()
    solved = tamis.load(SOLVED)
    prompts = dict(zip(id_texts(example_ids(solved)).to_pylist(), solved["prompt"], strict=True))
    for row in pool:
        kind = row["instruction"].split()[0] if "capital" in row["instruction"] else "plus"
        assert len(row["seeds"]) == 2
        assert all(kind in prompts[example_id] for example_id in row["seeds"])


def test_a_chat_model_sees_the_examples_as_turns():
    model = Player(lambda prompt, how: "yes indeed")
    FewShot(model, target=SOLVED, retriever="bm25", shown=1, chat=True).generate(
        QUESTIONS, progress=False
    )
    assert all(prompt.count("\n") == 2 for prompt in model.asked)  # question, answer, question


def test_a_bad_answer_is_refused_by_name():
    def script(prompt, how):
        return ("on and on", "length") if prompt.endswith("9 plus 9\nOutput:") else "fine"

    method, pool = made(script)
    assert len(pool) == 2
    (refused,) = method.journal(QUESTIONS).refused
    assert (refused["instruction"], refused["filter"]) == ("9 plus 9", "cut off")


def test_the_induced_instruction_is_given_to_every_example():
    method = Induce(Player(play))
    pool = method.generate(EXAMPLES, progress=False)
    assert set(pool["instruction"]) == {"reverse the word"}
    assert sorted(pool["output"]) == sorted(row["output"] for row in EXAMPLES)
    found = tamis.catalog().sql("SELECT DISTINCT search FROM trajectories").fetchall()
    assert found == [(pool["search"][0],)]
    assert method.journal(EXAMPLES).spent.requests > 50


def test_what_is_there_is_not_induced_again():
    Induce(Player(play)).generate(EXAMPLES, progress=False)
    again = Player(play)
    Induce(again).generate(EXAMPLES, progress=False)
    assert again.asked == []
