"""Tasks made by rule: their answers are known, so a small model can learn to follow a format.

Each maker draws words from a text and gives an `Example`. The wordings are ours.
"""

import json
import random
import re
from collections.abc import Callable

from training.data import Example

_WORD = re.compile(r"[A-Za-z]{3,12}")

TASK_LIST = "Come up with a series of tasks:\n"
"""How Self-Instruct asks for instructions; the list that follows is numbered."""

DESIGN = (
    "Design a task that can be answered from the text below. "
    "Write an instruction, an input if one is needed, and the output.\n\nText: "
)
"""How a text is turned into a task, after TeGit."""

_FORMS = [
    "a short poem", "a short story", "a letter to a friend", "a blog post", "a summary",
    "a brief speech", "a news headline", "a product description", "a dialogue", "an outline",
    "a recipe", "a list of five facts", "a tweet", "a quiz question", "a polite email",
    "a simple definition", "a step by step guide", "an advertisement", "a riddle", "a short essay",
]  # fmt: skip
_ASKS = [
    "Write {form} about {topic}.",
    "Explain what {topic} is to a child.",
    "List three important facts about {topic}.",
    "Give two arguments for and two against {topic}.",
    "What are the main causes of {topic}?",
    "Describe how {topic} has changed over time.",
    "Compare {topic} with {other}.",
    "What is the difference between {topic} and {other}?",
    "Suggest five questions to ask an expert on {topic}.",
    "Find the mistakes in this sentence about {topic} and correct them.",
    "Write {form} that mentions both {topic} and {other}.",
    "Classify the following statement about {topic} as true or false.",
    "Rewrite the sentence about {topic} in a formal tone.",
    "Given a paragraph about {topic}, write a title for it.",
    "Translate the following sentence about {topic} into French.",
    "Who should know about {topic}, and why?",
    "How can a beginner learn more about {topic}?",
    "Name some famous people who are connected with {topic}.",
    "Create a plan for a lesson on {topic}.",
    "Imagine that you work with {topic}. Describe a typical day.",
]


def asked(draw: random.Random, topics: list[str]) -> str:
    """Return a new instruction about something the texts speak of."""
    topic, other = draw.sample(topics, 2)
    return draw.choice(_ASKS).format(form=draw.choice(_FORMS), topic=topic, other=other)


def numbered(instructions: list[str]) -> str:
    r"""Return the prompt of Self-Instruct with its list, as released.

    >>> numbered(["Add 2 and 3.", "Name a fruit:"])
    'Come up with a series of tasks:\n1. Add 2 and 3.\n2. Name a fruit\n'
    """
    lines = (
        f"{place}. {' '.join(text.split()).rstrip(':')}\n"
        for place, text in enumerate(instructions, 1)
    )
    return TASK_LIST + "".join(lines)


def designed(example: Example) -> Example:
    """Turn an example whose answer is a text into one that asks for the task (TeGit)."""
    parts = [f"Instruction: {example.instruction}"]
    parts += [f"Input: {example.input}"] if example.input else []
    text = f"{example.input} {example.output}".strip()
    return Example(
        "design", DESIGN + text[:800], "", "\n".join([*parts, f"Output: {example.output[:400]}"])
    )


def changed(text: str, draw: random.Random, share: float = 0.33) -> str:
    """Return a copy of a text with a share of its words dropped, misspelt or moved."""
    words = text.split()
    for place, word in enumerate(words):
        what = draw.random()
        if what < share / 3:
            words[place] = ""
        elif what < 2 * share / 3:
            words[place] = word[: len(word) // 2] + word[len(word) // 2 + 1 :]
        elif what < share:
            other = draw.randrange(len(words))
            words[place], words[other] = words[other], word
    return " ".join(filter(None, words))


def by_rule(draw: random.Random, text: str) -> Example:
    """Return a task over words of `text`, with its exact answer."""
    words = _WORD.findall(text[:4000])
    words = draw.sample(words, min(len(words), draw.randint(3, 6))) if words else ["word", "list"]
    task = draw.choice(sorted(_MAKERS))
    instruction, given, answer = _MAKERS[task](draw, words)
    return Example(f"rule/{task}", instruction, given, answer)


Made = tuple[str, str, str]


def _upper(draw: random.Random, words: list[str]) -> Made:
    ask = draw.choice(["Write the text in capital letters.", "Convert the input to upper case."])
    return ask, " ".join(words).lower(), " ".join(words).upper()


def _first(draw: random.Random, words: list[str]) -> Made:
    ask = draw.choice(["Give the first word of the list.", "Write only the first word."])
    return ask, ", ".join(words), words[0]


def _last(draw: random.Random, words: list[str]) -> Made:
    ask = draw.choice(["Give the last word of the list.", "Write only the last word."])
    return ask, ", ".join(words), words[-1]


def _repeat(draw: random.Random, words: list[str]) -> Made:
    ask = draw.choice(["Repeat the sentence.", "Copy the input exactly."])
    return ask, " ".join(words), " ".join(words)


def _numbers(draw: random.Random, words: list[str]) -> Made:
    ask = draw.choice(["Make a numbered list of the items.", "Number the items, one a line."])
    return ask, ", ".join(words), "\n".join(f"{n}. {w}" for n, w in enumerate(words, 1))


def _bullets(draw: random.Random, words: list[str]) -> Made:
    ask = draw.choice(["Make a bulleted list of the items.", "Turn the items into bullet points."])
    return ask, ", ".join(words), "\n".join(f"- {word}" for word in words)


def _sorted(draw: random.Random, words: list[str]) -> Made:
    ask = draw.choice(["Sort the words alphabetically.", "Put the words in alphabetical order."])
    words = [word.lower() for word in words[:4]]
    return ask, ", ".join(words), ", ".join(sorted(words))


def _count(draw: random.Random, words: list[str]) -> Made:
    ask = draw.choice(["How many words are in the list?", "Count the words."])
    return ask, ", ".join(words), str(len(words))


def _json(draw: random.Random, words: list[str]) -> Made:
    ask = draw.choice(["Write the items as a JSON list.", "Convert the list to JSON."])
    return ask, ", ".join(words), json.dumps(words)


def _contains(draw: random.Random, words: list[str]) -> Made:
    word = draw.choice([*words, "umbrella", "seventeen"])
    answer = "Yes" if word in words else "No"
    return f'Does the list contain "{word}"? Answer Yes or No.', ", ".join(words), answer


_MAKERS: dict[str, Callable[[random.Random, list[str]], Made]] = {
    "bullets": _bullets,
    "contains": _contains,
    "count": _count,
    "first": _first,
    "json": _json,
    "last": _last,
    "numbers": _numbers,
    "repeat": _repeat,
    "sorted": _sorted,
    "upper": _upper,
}
