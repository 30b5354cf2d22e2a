import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels.characters import (
    KIND_AT,
    LOWER,
    SCRIPT_AT,
    SCRIPTS,
    character_table,
    code_point,
    may_not_be_nfc,
)


@settings(deadline=None)
@given(st.characters(exclude_characters="İΣ"))
def test_lower_case_is_python_s(character):
    assert chr(character_table()[ord(character)] & LOWER) == character.lower()


@pytest.mark.parametrize(
    ("character", "kind"),
    [("a", 2), ("7", 2), ("_", 2), ("ß", 2), ("़", 2), ("漢", 3), ("+", 4), ("€", 4), (".", 1),
     ("-", 1), (" ", 0), ("\n", 0), ("\u3000", 0), ("\u00ad", 5), ("\u200d", 5), ("\x00", 6),
     ("\x9d", 6), ("\ufffd", 6), ("\uffff", 6), ("\ue000", 1)],
)  # fmt: skip
def test_every_character_has_its_kind(character, kind):
    assert character_table()[ord(character)] >> KIND_AT & 7 == kind


def test_planes_that_are_not_asked_for_hold_no_character_but_private_ones():
    points = [
        point
        for plane in {*range(17)} - {0, 1, 2, 3, 14}
        for point in range(65_536 * plane, 65_536 * (plane + 1))
    ]
    assert {unicodedata.category(chr(point)) for point in points} == {"Cn", "Co"}
    kinds = character_table()[points] >> KIND_AT & 7
    assert set(kinds.tolist()) == {1, 6}  # the last two of a plane are no characters


@pytest.mark.parametrize(
    ("character", "script"),
    [("a", "Latin"), ("é", "Latin"), ("я", "Cyrillic"), ("λ", "Greek"), ("字", "Han"),
     ("か", "Kana"), ("ש", "Hebrew"), ("ع", "Arabic"), ("한", "Hangul"), ("7", "Other"),
     ("×", "Other")],
)  # fmt: skip
def test_letters_have_their_script(character, script):
    assert list(SCRIPTS)[character_table()[ord(character)] >> SCRIPT_AT] == script


@settings(deadline=None)
@given(st.characters(exclude_categories=["Cs"]))
def test_a_code_point_is_read_as_it_was_written(character):
    data = np.frombuffer(character.encode(), np.uint8)
    assert code_point(data, 0, len(data)) == (ord(character), len(data))


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=6))
def test_any_bytes_are_read_within_their_bounds(raw):
    data = np.frombuffer(raw, np.uint8)
    point, width = code_point(data, 0, len(data))
    assert 0 <= point < 0x110000
    assert 1 <= width <= len(data)


@settings(deadline=None)
@given(st.lists(st.text(), max_size=5))
def test_what_is_called_composed_is(texts):
    raw = [text.encode("utf-8", "surrogatepass") for text in texts]
    offsets = np.cumsum([0, *map(len, raw)])
    changes = may_not_be_nfc(offsets, np.frombuffer(b"".join(raw), np.uint8), character_table())
    for text, may_change in zip(texts, changes, strict=True):
        assert may_change or unicodedata.is_normalized("NFC", text)


def test_no_inert_character_changes_alone_or_beside_another():
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    raw = [chr(point).encode() for point in points]
    offsets = np.cumsum([0, *map(len, raw)])
    changes = may_not_be_nfc(offsets, np.frombuffer(b"".join(raw), np.uint8), character_table())
    inert = {chr(point) for point, may in zip(points, changes, strict=True) if not may}
    assert len(inert) > 45_000
    for one in inert:
        assert unicodedata.is_normalized("NFC", one)
        assert unicodedata.combining(one) == 0
    pairs = (unicodedata.decomposition(chr(point)).split() for point in points)
    second = {chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and pair[0][0] != "<"}
    assert not inert & (second | set(map(chr, range(0x1161, 0x11C3))))  # the parts of Hangul


def test_plain_text_is_not_sent_to_be_composed():
    raw = "“naïve” – 漢字 한글 plain → Привет, κόσμε カナ ✓ 😀".encode()
    data = np.frombuffer(raw, np.uint8)
    assert not may_not_be_nfc(np.array([0, len(raw)]), data, character_table())[0]


@pytest.mark.parametrize("length", [0, 1, 62, 63, 64, 65, 127, 128, 200])
def test_what_may_change_is_seen_behind_plain_text_of_any_length(length):
    texts = ["x" * length, "x" * length + "e\u0301" + "y" * 70, "x" * length + "\u00e9"]
    raw = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, raw)])
    changes = may_not_be_nfc(offsets, np.frombuffer(b"".join(raw), np.uint8), character_table())
    assert changes.tolist() == [False, True, False]
