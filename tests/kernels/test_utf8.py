import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels import utf8
from tamis.kernels.blocks import BLOCK

AFTER = b"." * (BLOCK + 4)
EVERY = [chr(c) for c in range(0x80, sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]


def valid_start(content):
    """Give the longest beginning of some bytes that is UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return content[: error.start]
    return content


def told(content):
    """Give what `whole` says of some bytes that others follow."""
    n, leads = utf8.whole(np.frombuffer(content + AFTER, np.uint8), 0, len(content))
    return n, [place for place in range(BLOCK) if int(leads) >> place & 1]


def expected(content):
    text = valid_start(content[:BLOCK]).decode()
    starts = np.cumsum([0, *(len(c.encode()) for c in text)])
    return starts[-1], [at for at, c in zip(starts, text, strict=False) if ord(c) >= 0x80]


PIECES = st.sampled_from(
    [b"\x00", b"a", b"~~~~~", "é".encode(), "漢".encode(), "😀".encode(), "\ud7ff\ue000".encode(),
     b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xdf\xbf", b"\xe0\x9f\xbf",
     b"\xe0\xa0\x80", b"\xed\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xef\xbf",
     b"\xf0\x8f\xbf\xbf", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80",
     b"\xf5\x80\x80\x80", b"\xff"]
)  # fmt: skip


@settings(deadline=None, max_examples=1000)
@given(
    st.lists(PIECES, max_size=70).map(b"".join) | st.binary(max_size=80) | st.text().map(str.encode)
)
def test_whole_characters_are_those_that_python_decodes(content):
    assert told(content) == expected(content)


@pytest.mark.parametrize("character", ["é", "漢", "😀"])
def test_a_character_that_the_block_or_the_text_cuts_is_not_whole(character):
    for at in range(BLOCK + 1):
        assert told(b"a" * at + character.encode()) == expected(b"a" * at + character.encode())
        for end in range(1, len(character.encode())):
            assert told(b"a" * at + character.encode()[:end]) == (min(at, BLOCK), [])


def test_nothing_is_read_beyond_the_data():
    data = np.frombuffer("é".encode() * 40, np.uint8)
    assert utf8.whole(data[: BLOCK + 3], 0, BLOCK) == (0, 0)
    assert utf8.whole(data[: BLOCK + 4], 0, BLOCK)[0] == BLOCK


@pytest.mark.parametrize(("text", "longer"), [("aéß", False), ("é漢", True), ("a😀", True)])
def test_long_characters_are_of_two_bytes_or_longer(text, longer):
    assert utf8.has_longer(np.frombuffer(text.encode() + AFTER, np.uint8), 0) is longer


def test_every_character_is_read_and_written_as_python_does():
    text = np.zeros(4, np.uint8)
    for character in EVERY[::7] + EVERY[: 1 << 12] + [chr(0xFFFF), chr(0x10000), EVERY[-1]]:
        content = character.encode()
        data = np.frombuffer(content + b"\xff" * 3, np.uint8)
        assert utf8.long_point(data, 0, True) == ord(character)
        if len(content) == 2:
            assert utf8.long_point(data, 0, False) == ord(character)
        assert utf8.bytes_of(ord(character)) == len(content)
        end = utf8.put_long(ord(character), text, 0)
        assert text[:end].tobytes() == content


def test_bits_reach_to_the_ends_of_their_characters():
    content = "aé漢b😀é".encode()
    data = np.frombuffer(content + AFTER, np.uint8)
    leads = np.uint64(1 << 1 | 1 << 3 | 1 << 7)
    assert utf8.to_their_ends(leads, np.uint64(utf8.inner(data, 0))) == sum(
        1 << place for place in (1, 2, 3, 4, 5, 7, 8, 9, 10)
    )
