import pytest

from tamis.prompting.reasoning.answers import agreed, cleaned, extract, one_line, same


@pytest.mark.parametrize(
    ("text", "kind", "answer"),
    [
        ("3 + 4 = 7. The answer is 7.", "number", "7"),
        ("The answer is 5. No: the answer is 6.", "number", "6"),
        ("we get $1,234.50 in all", "number", "1234.5"),
        ("#### 72", "number", "72"),
        ("so -3.0%", "number", "-3"),
        ("The answer is 1,000,000 dollars.", "number", "1000000"),
        ("\\boxed{42}", "number", "42"),
        ("nothing of the kind", "number", None),
        ("The answer is none.", "number", None),
        ("The answer is (B).", "choice", "B"),
        ("A seems right. The answer is C", "choice", "C"),
        ("The answer is (A) or rather (D)", "choice", "D"),
        ("The answer is Berlin", "choice", None),
        ("B", "choice", None),
        ("The answer is Yes, not no.", "yes-no", "yes"),
        ("Answer: No.", "yes-no", "no"),
        ("The answer is unknown, nobody knows.", "yes-no", None),
        ("So the answer is New York. It is large.", "text", "New York"),
        ("The answer is red. No: the answer is blue.", "text", "blue"),
        ("Answer:\n  the red one\nBecause.", "text", "the red one"),
        ("The answer is 3.14.", "auto", "3.14"),
        ("The answer is: **$7**", "auto", "7"),
        ("the answer is (c", "auto", "(c"),
        ("The answer is B.", "auto", "B"),
        ("The answer is 42 apples.", "auto", "42"),
        ("The answer is A good idea.", "auto", "A good idea"),
        ("The answer is Yes.", "auto", "yes"),
        ("The answer is Paris.", "auto", "Paris"),
        ("The answer is 0.", "auto", "0"),
        ("The answer is 2019 to 2021.", "auto", "2019 to 2021"),
        ("I am sorry, but I cannot help with that.", "auto", None),
        ("The answer is", "auto", None),
        ("", "auto", None),
        ("12", "auto", None),  # no trigger: it may be any number
    ],
)
def test_answers_are_found_where_they_stand(text, kind, answer):
    assert extract(text, kind) == answer


def test_a_hundred_thousand_characters_are_read_in_good_time():
    for unit in ("1", "1,", "answer is ", "((((", "A ", "\x00", "- ", "yes ", "$ ", "\n"):
        for kind in ("auto", "number", "choice", "yes-no", "text"):
            found = extract("The answer is " + unit * (100_000 // len(unit)), kind)
            assert found is None or len(found) <= 20_000


def test_control_characters_and_broken_ones_are_taken_out():
    assert cleaned("a\x1b]0;title\x07b\u202ec\ud800\r\nd\te") == "a]0;titlebc\nd\te"
    assert len(cleaned("x" * 10**6)) == 20_000
    assert one_line("a\x00\n\n b\t" + "c" * 300, 10) == "a b ccccc…"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("5", "5.0", True),
        ("1,000", "1000", True),
        ("0.3333333", "0.3333334", True),
        ("0.33", "0.34", False),
        ("$5", "5", True),
        ("Paris", " paris", True),
        ("Paris", "Rome", False),
        ("yes", "no", False),
        ("9" * 80, "9" * 80, True),
    ],
)
def test_answers_are_the_same_that_say_the_same(one, other, equal):
    assert same(one, other) is same(other, one) is equal


def test_votes_go_to_the_most_frequent_and_of_a_tie_to_the_first():
    assert [winner for winner, _ in agreed(["5", "5.0", "7", None])] == ["5", "7"]
    assert agreed(["7", "5", "5", "7"])[0][0] == "7"
    assert agreed([None, None]) == []
