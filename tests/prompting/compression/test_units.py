"""Where a text may be cut."""

import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.prompting.compression.units import between_characters, characters_cut, word_edges


def cut(text):
    edges = [0, *word_edges(text, np.arange(1, len(text) + 1))]
    return [text[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a dog,\nthe cat", ["a", " dog", ",", "\nthe", " cat"]),
        ("don't e-mail me", ["don't", " e-mail", " me"]),
        ("(see 3.14, 1,000)", ["(see", " 3.14", ",", " 1,000", ")"]),
        ("東京は首都", ["東", "京", "は", "首", "都"]),
        ("in Tokyo（東京）now", ["in", " Tokyo", "（", "東", "京", "）now"]),
        ("Größe  x\t\n", ["Größe", "  x", "\t\n"]),
        ("ab\ncd", ["ab", "\ncd"]),
    ],
)
def test_words_take_along_the_space_before_them(text, words):
    assert cut(text) == words


@given(st.text(max_size=40))
def test_words_join_to_the_text(text):
    assert "".join(cut(text)) == text


@given(
    st.lists(st.sampled_from(["ab", " cd", "\nef", ", gh", "i-j", ". K"]), max_size=20), st.data()
)
def test_words_that_were_not_neighbours_do_not_run_together(pieces, data):
    text = "".join(pieces)
    words = cut(text)
    kept = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    result = "".join(word for word, stays in zip(words, kept, strict=True) if stays)
    known = {word.strip(" \n,.") for word in words}
    assert {word.strip(",.") for word in result.split()} <= known | {""}


@pytest.mark.parametrize(
    "character",
    [
        "e\u0301\u0323",
        "👨‍👩‍👧",
        "👍🏽",
        "🇩🇪",
        "각",
        "नि",
        "\r\n",
        "☝️",
        "🏴\U000e0067\U000e0062\U000e007f",
    ],
)
def test_a_character_as_people_see_it_is_one(character):
    text = f"a{character}b"
    edges = between_characters(text, np.arange(1, len(text) + 1))
    assert edges.tolist() == [1, len(text) - 1, len(text)]


def test_flags_are_pairs():
    flags = "🇩🇪🇫🇷🇮🇹"
    assert [characters_cut(flags, at) for at in range(1, 6)] == [True, False, True, False, True]


@given(st.text(max_size=30))
def test_no_edge_stands_before_a_mark_that_combines(text):
    edges = between_characters(text, np.arange(1, len(text) + 1))
    marks = {at for at in edges if at < len(text) and unicodedata.category(text[at]) == "Mn"}
    assert all(text[at - 1] in "\r\n" for at in marks)
