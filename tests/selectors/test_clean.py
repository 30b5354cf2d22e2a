import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.errors import SettingError
from tamis.selectors import Clean
from tamis.selectors.clean import RULES

GOOD = "The tide comes in twice a day because the Earth turns under two bulges of water."


def asked(prompt, response):
    return Dataset.from_dict({"prompt": [prompt], "completion": [response]})


def said(text):
    return Dataset.from_dict({"text": [text]})


def reason(pool, **given):
    return Clean(**given).select(pool).reasons[0]


# For every rule: what passes, what fails and what is said then.
EXAMPLES = {
    "empty": (asked("Say nothing.", "."), asked("Draw a cat.", " <nooutput>\n"), "empty response"),
    "max_broken": (
        said(GOOD + " «café» – 5 °C"),
        said("The cafÃ© isnâ€™t far \ufffd away."),
        "broken text: 0.103 of its characters are U+FFFD, control characters or misread",
    ),
    "min_words": (said("2+2"), said("Good morning"), "too short: 2 words, fewer than 3"),
    "max_words": (said("a b c"), said("a b c d"), "too long: 4 words, more than 3"),
    "max_foreign": (
        said("He said привет to me, and left the room."),
        said("Он сказал hello и вышел."),
        "not in the scripts asked for: 0.74 of its letters are others",
    ),
    "max_symbols": (
        asked("6 + 3 = ?", "6 + 3 = 9."),
        said("|---|---|---| a b +----+"),
        "symbols: 0.90 of its characters are neither letters nor digits",
    ),
    "max_hashes": (
        said("# Title\n" + GOOD),
        said("one # two # three ..."),
        "symbols: 1.00 '#' or '...' a word",
    ),
    "max_longest_word": (
        said(GOOD),
        said("a picture " + "x9" * 600),
        "no text: a word of 1,200 characters, more than 1,000",
    ),
    "min_word_length": (
        said(GOOD),
        said("a b c d e"),
        "odd words: 1.0 characters a word, fewer than 3",
    ),
    "max_word_length": (
        said(GOOD),
        said("counterintuitively electroencephalography incomprehensibility"),
        "odd words: 19.7 characters a word, more than 10",
    ),
    "max_repeats": (
        asked("Sing.", "la la la di di\nla la la dum dum\n" + GOOD),
        asked("Say it.", "I am a model. " * 20),
        "repeats itself: 0.95 of its 3-grams are copies",
    ),
    "max_copied_lines": (
        asked("List.", "{\n  one\n}\n{\n  two\n}"),
        asked("List.", "the same line\n" * 3 + "end"),
        "repeats itself: 0.61 of it are lines that stood before",
    ),
    "max_bullets": (
        said("Fruit:\n- apple\n- pear"),
        said("- a\n- b\n* c"),
        "a list: 1.00 of its lines are bullets",
    ),
    "max_ellipses": (
        said("Well...\nso it is.\nYes.\nIndeed."),
        said("Read more...\nNews…"),
        "cut short: 1.00 of its lines end in an ellipsis",
    ),
    "min_ended": (
        said(GOOD),
        said("Home\nAbout\nContact us"),
        "no sentences: 0.00 of its lines end in punctuation",
    ),
    "echo": (
        asked("Say: yes indeed", "yes indeed"),
        asked("What is a tide?", " what is  a TIDE?"),
        "response repeats the prompt",
    ),
    "refusal": (
        asked("Who are you?", "I am an AI language model, here to help."),
        asked("Draw a cat.", "I’m sorry, but as an AI language model I cannot draw."),
        "refusal: the response begins by declining",
    ),
    "open_fence": (
        asked("Code?", "```py\nx = 1\n```\nDone."),
        asked("Code?", "Here:\n```py\nx = 1\n"),
        "unclosed code fence",
    ),
}
# Gopher's and FineWeb's limits, for the rules that are off by default; and what two need.
LIMITS = {
    "max_words": 3,
    "max_hashes": 0.1,
    "min_word_length": 3,
    "max_word_length": 10,
    "max_bullets": 0.9,
    "max_ellipses": 0.3,
    "min_ended": 0.12,
}


def only(rule):
    """Return settings that switch every other rule off."""
    off = {
        r.setting: False if isinstance(getattr(Clean(), r.setting), bool) else None for r in RULES
    }
    off[rule] = LIMITS.get(rule, getattr(Clean(), rule))
    return off | {"scripts": ("Latin",)}


def test_every_rule_has_its_example():
    assert list(EXAMPLES) == [rule.setting for rule in RULES]


@pytest.mark.parametrize("rule", EXAMPLES)
def test_a_rule_drops_what_it_names_and_nothing_else(rule):
    good, bad, why = EXAMPLES[rule]
    assert reason(good, **only(rule)) == "kept"
    assert reason(bad, **only(rule)) == why
    off = only(rule) | {rule: False if isinstance(only(rule)[rule], bool) else None}
    assert reason(bad, **off) == "kept"


@pytest.mark.parametrize(
    ("prompt", "response"),
    [
        ("What is the capital of France?", "Paris"),
        ("Is 7 prime?", "Yes"),
        ("Count the stars: ★★★", "3"),
        ("Translate 'dance all night'.", "💃🕺🌃"),
        ("Write a loop.", "```c\nfor (i = 0; i < 10; i++) {\n    a[i] = b[i] + c[i];\n}\n```"),
        ("Solve it.", "$x = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}$"),
        ("Multiply.", "[[19, 22], [43, 50]]"),
        ("List five fruits.", "- apple\n- pear\n- plum\n- fig\n- date"),
        ("法国的首都是哪里?", "巴黎是法国的首都。"),
        ("Где находится Париж?", "Во Франции."),
        ("ما عاصمة فرنسا؟", "باريس"),
        ("फ्रांस की राजधानी क्या है?", "पेरिस"),
        ("Make a table.", "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"),
        ("Rephrase: I can't get no satisfaction.", "I am unable to obtain satisfaction."),
        ("Write an apology.", "I'm sorry that I was late. I was unable to find the room."),
        ("Use JSON.", '{"name": "Ann", "age": 7}'),
    ],
)
def test_good_rows_survive(prompt, response):
    assert reason(asked(prompt, response)) == "kept"


@pytest.mark.parametrize(
    "response", ["", "  \n", "<noinput>", "N/A", "No output.", "[no response]"]
)
def test_an_answer_that_says_nothing_is_empty(response):
    assert reason(asked("Play a song.", response)) == "empty response"


@pytest.mark.parametrize(
    "response",
    [
        "As an AI language model, I don't have opinions.",
        "I'm sorry, but I cannot help with that.",
        "Unfortunately, I do not have access to the internet.",
        "I am not able to browse the web.",
        "I cannot provide ways of doing that.",
    ],
)
def test_a_refusal_is_known_by_how_it_begins(response):
    assert reason(asked("Do it.", response)).startswith("refusal")


def test_the_first_rule_that_fails_is_the_reason():
    assert reason(asked("x", "")) == "empty response"
    assert reason(asked("x\ufffd", "y")).startswith("broken text")


def test_prompts_alone_are_judged_as_text():
    pool = Dataset.from_dict({"instruction": ["Name three rivers.", ""]})
    assert Clean().select(pool).reasons.tolist() == ["kept", "empty response"]


def test_the_score_is_the_share_of_rules_passed():
    pool = Dataset.from_dict({"text": ["ab", GOOD]})
    assert Clean().select(pool).scores.tolist() == [1 - 1 / 12, 1]


def test_without_rules_all_are_kept():
    off = only("empty") | {"empty": False}
    assert len(Clean(**off).select(Dataset.from_dict({"text": ["", "x"]}))) == 2


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), min_size=1, max_size=10),
    st.randoms(),
)
def test_a_row_is_judged_by_itself(rows, random):
    order = random.sample(range(len(rows)), len(rows))
    pool = Dataset.from_dict({"prompt": [p for p, _ in rows], "completion": [c for _, c in rows]})
    clean = Clean(scripts=("Latin", "Han"), min_ended=0.1, max_hashes=0.2)
    first = clean.select(pool, workers=2, batch_rows=3)
    second = clean.select(pool.select(order))
    assert first.reasons[order].tolist() == second.reasons.tolist()
    assert np.array_equal(first.scores[order], second.scores)
    assert first.signals.take(order).equals(second.signals.combine_chunks())


def test_one_script_may_be_given_by_name():
    assert Clean(scripts="Latin") == Clean(scripts=("Latin",))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scripts": ("Latn",)}, "no script 'Latn'; did you mean 'Latin'"),
        ({"max_symbols": -0.1}, "max_symbols=-0.1; give one of at least 0, or None"),
        ({"min_words": float("nan")}, "min_words=nan; give one of at least 0"),
    ],
)
def test_a_wrong_setting_is_named(given, message):
    with pytest.raises(SettingError, match=message):
        Clean(**given)
