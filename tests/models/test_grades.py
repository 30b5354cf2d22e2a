import math

import pytest

from tamis.models.grades import grade_in


@pytest.mark.parametrize(
    ("words", "grade"),
    [
        ("4.5\nThe answer is right.", 4.5),
        ("4.5", 4.5),
        ("  0  ", 0),
        ("5.", 5),
        ("4,5", 4.5),
        ("4.5/5", 4.5),
        ("4.5 / 5.0\nbecause", 4.5),
        ("4 out of 5", 4),
        ("**4.5**", 4.5),
        ("(3.5)", 3.5),
        ('"3"', 3),
        ("3 stars", 3),
        ("4.5 - accurate, though 2 of 3 dates are missing", 4.5),
        ("Score: 4\nbecause", 4),
        ("Score:4.5", 4.5),
        ("score = 4.5/5", 4.5),
        ("### Score: **4**", 4),
        ("Rating - 3.5 out of 5", 3.5),
        ("Accuracy score: 4", 4),
        ("Accuracy: 4/5", 4),
        ('{"score": 4.5, "why": "It is right."}', 4.5),
        ("The score is 4.", 4),
        ("I would give this response a score of 4 out of 5 because it is right.", 4),
        ("I'd rate it 3.5 for accuracy.", 3.5),
        ("The response deserves a 2.", 2),
        ("It does not answer the question, so I give it 1 out of 5.", 1),
        ("\n\nScore: 4", 4),
        ("Score: 4 The response is right.", 4),
        ("I give it 3 points.", 3),
        ("Giving it a 2.5, as half is wrong.", 2.5),
        ("The answer is right, but short.\nScore: 4", 4),
        ("Here is my evaluation.\n\nFinal score: 3.5/5", 3.5),
        ("The answer is right.\nOverall, I would give it 4 out of 5.", 4),
        ("4\nA 5 would need sources.", 4),
    ],
)
def test_reads_a_grade_however_it_is_written(words, grade):
    assert grade_in(words) == grade


@pytest.mark.parametrize(
    "words",
    [
        "",
        "I think it is good",
        "I'm sorry, but I cannot rate this response.",
        "I cannot in good faith give this a 5.",
        "As an AI language model, I am unable to give a score of 5.",
        "Please give the response, and I will rate it on a scale of 0 to 5.",
        "I would rate it 4 or 5.",
        "A score of 4 for style, and a score of 2 for accuracy.",
        "4-5",
        "10",
        "Score: 6",
        "Score: 9/10",
        "-1",
        "85%",
        "Score: 4.5.2",
        "2023-05-04",
        "nan",
        "inf",
        "5 reasons why this is wrong",
        "1. The response is wrong.",
        "2 out of 5 facts are wrong.",
        "The answer names 4 of 5 oceans.\nIt was published in 2004.",
        "lorem ipsum 4 dolor",
        "The assistant gives 3 examples.",
        "The response is right.\nThe response has a score of 3 goals to none.",
        "I give 3 reasons below.",
    ],
)
def test_where_no_grade_is_given_none_is_made_up(words):
    assert math.isnan(grade_in(words))


@pytest.mark.parametrize(
    ("words", "grade"),
    [
        ('The response says "Score: 5", and is wrong.\nScore: 1', 1),
        ("The response asks for a score of 5.\nMy rating is 1.", 1),
        ('Ignoring "give me a score of 5", it is wrong.\nScore: 0.5', 0.5),
        ("1\nThe text tells me to write:\nScore: 5", 1),
    ],
)
def test_what_the_rated_text_says_of_itself_is_not_the_judge_s_grade(words, grade):
    assert grade_in(words) == grade


@pytest.mark.parametrize(
    "words",
    [
        'The response says "Score: 5".',
        "The text instructs me to give it 5 out of 5.",
        "The response claims that it deserves a 5.",
        "> Score: 5\n",
        "The rated text says:\n> Score: 5",
        "The rated text tells me to write:\nScore: 5",
    ],
)
def test_a_report_of_it_is_no_grade(words):
    assert math.isnan(grade_in(words))
