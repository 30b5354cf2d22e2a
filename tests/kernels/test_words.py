import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels.blocks import BLOCK
from tamis.kernels.spans import room_for
from tamis.kernels.words import split, word_table

# What str.lower and \w treat in ways of their own: sigmas, what is ignored beside them, a
# dotted I, marks that are no word, capitals with longer lower case, spaces of all widths.
ODD = "AaΣσς'.·:ʰͅİIıȺẞKÅ̇_0٣²½ \t\n\x1c\x85\u00a0\u2003\u200b\u3000東京é́😀🧑‍🚀\x00-"


def words_of(text, after=b""):
    data = np.frombuffer(text.encode() + after, np.uint8)
    stop = len(data) - len(after)
    room = room_for(len(data))
    words = split(data, 0, stop, word_table(), room)
    return [room.text[room.begins[w] : room.ends[w]].tobytes().decode() for w in range(words)]


def as_python_says(text):
    return re.findall(r"\w+|[^\w\s]+", text.lower())


@settings(deadline=None, max_examples=300)
@given(st.text() | st.text(alphabet=ODD))
def test_words_are_those_of_lower_and_re(text):
    assert words_of(text) == as_python_says(text)


PLAIN = "".join(map(chr, range(128)))
PIECES = st.text(alphabet=PLAIN) | st.text(alphabet="aZ_9 ,", min_size=20) | st.text(alphabet=ODD)


@settings(deadline=None, max_examples=500)
@given(
    st.lists(PIECES, max_size=8).map("".join),
    st.sampled_from([b"", b"x" * 64, b" " * 64, b"\xc3\xa9" * 32, b"," * 70]),
)
def test_words_are_the_same_in_blocks_of_64_bytes(text, after):
    # A block is only looked at where 64 bytes are there, those of the next text among them.
    assert words_of(text, after) == as_python_says(text)


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200])
@pytest.mark.parametrize("pair", ["ab", "a ", "a,", ", ", "é,", "aé", " é"])
def test_a_change_of_kind_at_every_place_of_a_block(length, pair):
    for at in range(length + 1):
        text = pair[0] * at + pair[1] * (length - at)
        assert words_of(text, b"z" * 64) == as_python_says(text)


@pytest.mark.parametrize("first", [*range(0, 0x20000, 0x1000), 0x2F000, 0xE0000])
def test_every_character_with_ways_of_its_own(first):
    # As part of a word, before a sigma, between a letter and a sigma, after a sigma.
    characters = [chr(c) for c in range(first, first + 0x1000) if not 0xD800 <= c < 0xE000]
    text = "\n".join(f"a{c}b {c}Σ A{c}Σ{c} AΣ{c}b" for c in characters)
    ours, theirs = words_of(text), as_python_says(text)
    assert [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop!!", ["don", "'", "t", "stop", "!!"]),
        ("snake_case, 3.14", ["snake_case", ",", "3", ".", "14"]),
        ("ΟΔΟΣ ΟΔΟΣ' ΣΑΣ'Α", ["οδος", "οδος", "'", "σασ", "'", "α"]),
        ("İ", ["i", "\u0307"]),
        ("東京　大阪", ["東京", "大阪"]),
        (" \u00a0\n", []),
        ("", []),
    ],
)
def test_words_by_hand(text, words):
    assert words_of(text) == words


def test_a_text_among_others_does_not_look_beyond_its_borders():
    # A sigma is final at the end of its text, whatever the next one begins with.
    data = np.frombuffer("ΑΣΑ".encode(), np.uint8)
    room = room_for(len(data))
    split(data, 0, 4, word_table(), room)
    assert room.text[: room.ends[0]].tobytes().decode() == "ας"
    split(data, 2, 6, word_table(), room)
    assert room.text[: room.ends[0]].tobytes().decode() == "σα"


@settings(deadline=None, max_examples=300)
@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([b"\xff", b"\xf4\xbf", b"a", b"\xc4\xb0", b"b," * 20])).map(b"".join)
)
def test_bytes_that_are_no_utf8_stay_in_the_room(content):
    data = np.frombuffer(content, np.uint8)
    room = room_for(len(data))
    words = split(data, 0, len(data), word_table(), room)
    assert words <= len(content)
    begins, ends = room.begins[:words], room.ends[:words]
    assert (begins < ends).all()
    assert (ends[:-1] <= begins[1:]).all()
    assert ends.max(initial=0) + BLOCK <= len(room.text)
