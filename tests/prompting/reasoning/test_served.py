"""The same programs over HTTP, against a server that plays a known model."""

import pytest

pytest.importorskip("httpx", reason='pip install "tamis[openai]"')

import tamis
from tamis.models import server as server_module
from tamis.prompting.reasoning import ChainOfThought, ReAct, SelfConsistency, rows
from tests.models.faulty import Reply, chat, faulty

QUESTIONS = [f"What is {i} + {i}?" for i in range(12)]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(server_module, "FIRST_WAIT", 0.005)


def number(body):
    return int(body["messages"][-1]["content"].rsplit("What is ", 1)[1].split()[0])


PARTS = {
    "right": lambda n: f"They are {2 * n}. The answer is {2 * n}.",
    "wrong": lambda n: f"The answer is {2 * n + 1}.",
    "looping": lambda n: "and again " * 10_000,
    "refusing": lambda n: "I am sorry, but I cannot help with that.",
    "off-format": lambda n: f"<answer>{2 * n}</answer>",
    "empty": lambda n: "",
    "controls": lambda n: f"\x1b[2J\x00The answer is {2 * n}.\x07",
}
ANSWERS = {
    "right": lambda n: str(2 * n), "wrong": lambda n: str(2 * n + 1), "looping": lambda n: None,
    "refusing": lambda n: None, "off-format": lambda n: None, "empty": lambda n: None,
    "controls": lambda n: str(2 * n),
}  # fmt: skip


def sampled(text, body):
    """An answer with as many choices as were asked for."""
    reply = chat(text)
    (choice,) = reply.body["choices"]
    reply.body["choices"] = [{**choice, "index": i} for i in range(body.get("n", 1))]
    return reply


def solve(script, program, **options):
    with faulty(script) as server:
        lm = tamis.models.load("openai:m", base_url=server.url, **options)
        solutions = program(lm).solve(QUESTIONS, progress=False)
    return solutions, server


@pytest.mark.parametrize("part", PARTS)
def test_what_a_served_model_says_is_what_is_voted_for(part):
    def script(path, body, count):
        return sampled(PARTS[part](number(body)), body)

    solutions, server = solve(script, lambda lm: SelfConsistency(lm, samples=10, together=5))
    assert [one.answer for one in solutions] == [ANSWERS[part](i) for i in range(12)]
    pool = tamis.load(rows(solutions))
    assert pool["instruction"] == QUESTIONS
    assert "\x1b" not in "".join(pool["output"])
    # Once six of ten agree nothing is asked any more; where none answers, all are drawn.
    assert len(server.bodies("/chat/completions")) == 12 * 2


def test_a_server_that_fails_for_one_question_answers_the_others():
    def script(path, body, count):
        if number(body) == 3:
            return Reply("no", 500)
        return sampled(PARTS["right"](number(body)), body)

    solutions, _ = solve(script, lambda lm: ChainOfThought(lm, kind="number"), retries=1)
    assert [one.answer for one in solutions] == [None if i == 3 else str(2 * i) for i in range(12)]
    assert solutions[3].stopped.startswith("the model: HTTP 500")


def test_a_tool_is_used_between_two_rounds():
    def script(path, body, count):
        text = body["messages"][-1]["content"]
        n = number(body)
        if "Observation 1" in text:
            return chat(f"Action 2: Finish[{text.rsplit('Observation 1: ', 1)[1].split()[0]}]")
        return chat(f"I add.\nAction 1: Add[{n}]\nObservation 1: 99")

    solutions, server = solve(script, lambda lm: ReAct(lm, tools={"Add": lambda n: 2 * int(n)}))
    assert [one.answer for one in solutions] == [str(2 * i) for i in range(12)]
    assert len(server.bodies("/chat/completions")) == 24
