import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels import characters
from tamis.kernels.characters import character_table
from tamis.kernels.lexemes import split, split_at_spaces, split_lines, word_hashes
from tamis.kernels.spans import room_for

PLAIN = "".join(map(chr, range(128)))
ODD = "aZ_9 ,.+éÉΣßİ漢字かな한ไทย\u0301\xad\u200d€😀\u3000\n\x00\ufffd"
PIECES = st.text(alphabet=PLAIN) | st.text(alphabet="aZ_9 ,+\n", min_size=20) | st.text(ODD)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
AFTER = st.sampled_from([b"", b"x" * 150, b" " * 150, b"\n" * 150, "é漢".encode() * 40])


def found(splitter, text, after=b""):
    data = np.frombuffer(text.encode() + after, np.uint8)
    room = room_for(len(data))
    count = splitter(data, 0, len(data) - len(after), character_table(), room)
    spans = zip(room.begins[:count], room.ends[:count], strict=True)
    return [room.text[begin:end].tobytes().decode() for begin, end in spans]


def told(text):
    """Give the lower case and the kind of each character."""
    entries = character_table()[list(map(ord, text))] if text else np.empty(0, np.uint32)
    return [(chr(e & characters.LOWER), e >> characters.KIND_AT & 7) for e in entries]


def spaces_left_out(text):
    return "".join(c for c, kind in told(text) if kind != characters.SPACE)


def words_one_by_one(text):
    words, inside = [], False
    for character, kind in told(text):
        if kind == characters.WORD:
            words[len(words) - inside :] = [("".join(words[-1:]) if inside else "") + character]
        elif kind in (characters.LETTER, characters.SYMBOL):
            words.append(character)
        inside = kind == characters.WORD or (kind == characters.IGNORED and inside)
    return words


@settings(deadline=None, max_examples=400)
@given(TEXTS, AFTER)
def test_words_are_those_of_a_loop_over_characters(text, after):
    assert found(split, text, after) == words_one_by_one(text)


@settings(deadline=None, max_examples=400)
@given(TEXTS, AFTER)
def test_spaces_part_runs_and_nothing_else_does(text, after):
    spaced = "".join(" " if kind == characters.SPACE else c for c, kind in told(text))
    assert found(split_at_spaces, text, after) == [run for run in spaced.split(" ") if run]


@settings(deadline=None, max_examples=400)
@given(TEXTS, AFTER)
def test_lines_lose_their_spaces_and_no_more(text, after):
    assert found(split_lines, text, after) == list(map(spaces_left_out, text.split("\n")))


@pytest.mark.parametrize("length", [1, 31, 32, 33, 63, 64, 65, 128, 129, 200])
@pytest.mark.parametrize("pair", ["ab", "a ", "a,", "a+", "++", "+ ", "é+", "aé", "a\n", "\n\n"])
def test_a_change_of_kind_at_every_place_of_a_block(length, pair):
    for at in range(length + 1):
        text = pair[0] * at + pair[1] * (length - at)
        assert found(split, text, b"z" * 150) == words_one_by_one(text)
        lines = list(map(spaces_left_out, text.split("\n")))
        assert found(split_lines, text, b"z" * 150) == lines


def test_a_word_has_one_hash_wherever_it_stands():
    texts = ["Größe", "x" * 70 + " größe", "é " * 40 + "GRÖSSE größe", "größe" + " " * 100]
    hashes = set()
    for text in texts:
        data = np.frombuffer(text.encode(), np.uint8)
        out = np.empty(len(data), np.uint64)
        count = word_hashes(data, 0, len(data), character_table(), room_for(len(data)), out)
        words = words_one_by_one(text)
        assert count == len(words)
        hashes.add(out[words.index("größe")])
    assert len(hashes) == 1
