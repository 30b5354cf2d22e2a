"""Subsequence recovery."""

import pytest

from tamis.prompting import compress
from tamis.prompting.compression.recovery import recover
from tests.prompting.compression.readers import Words

NUMBERS = "w01 w02 w03 w04 w05 w06 w07 w08 w09 w10"
KEPT = [(0, 3), (7, 11), (15, 19), (27, 31), (35, 39)]  # w01 w03 w05 w08 w10


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("w05 w08", "w05 w06 w07 w08"),
        ("w03 w05 w08 w30", "w03 w04 w05 w06 w07 w08 w30"),
        ("w20 w01 w03", "w20 w01 w02 w03"),
        ("w10", "w10"),
        ("It is 'w01 w03'.", "It is 'w01 w02 w03'."),
        ("", ""),
        ("nothing of it", "nothing of it"),
    ],
)
def test_a_quote_gets_its_words_back(response, expected):
    assert recover(response, NUMBERS, KEPT) == expected


def test_the_shortest_of_several_places_is_taken():
    # 'a b' was left of 'a x x b' and of 'a y b'.
    original = "a x x b. a y b"
    kept = [(0, 1), (5, 10), (12, 14)]
    assert "".join(original[a:b] for a, b in kept) == "a b. a b"
    assert recover("a b", original, kept) == "a y b"


def test_far_pieces_are_not_bridged():
    original = "start " + "x " * 100 + "end"
    assert recover("start end", original, [(0, 5), (205, 209)]) == "start end"


def test_a_result_recovers_from_itself():
    done = compress("Wilhelm Conrad the Roentgen won", rate=0.8, lm=Words(), tokenizer=str.split)
    assert done.recover(done.text) in done.original
