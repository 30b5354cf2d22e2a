import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from tamis.kernels import blocks

BLANK = b" \t\n\v\f\r"
EVERY_BYTE = np.arange(256, dtype=np.uint8)


def bits_of(number):
    return [place for place in range(64) if int(number) >> place & 1]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (blocks.beyond_ascii, lambda byte: byte >= 0x80),
        (blocks.letters, lambda byte: byte < 0x80 and chr(byte).isalpha()),
        (blocks.wordlike, lambda byte: byte < 0x80 and (chr(byte).isalnum() or byte == ord("_"))),
        (blocks.blank, lambda byte: byte in BLANK),
        (blocks.symbols, lambda byte: byte < 0x80 and unicodedata.category(chr(byte))[0] == "S"),
        (blocks.controls, lambda byte: (byte < 0x20 or byte == 0x7F) and byte not in BLANK),
    ],
)
@pytest.mark.parametrize("at", [0, 64, 128, 192, 7])
def test_every_byte_is_what_python_says_it_is(told, said, at):
    assert bits_of(told(EVERY_BYTE, at)) == [j for j in range(64) if said(at + j)]


@njit
def lowered(data, at, text, to):
    blocks.copy_lower(data, at, text, to)


def test_capitals_become_small_and_nothing_else_changes():
    text = np.full(100, 1, np.uint8)
    for at in range(0, 256, 64):
        lowered(EVERY_BYTE, at, text, 20)
        assert text[20:84].tobytes() == EVERY_BYTE[at : at + 64].tobytes().lower()
        assert set(text[:20]) == set(text[84:]) == {1}


@njit
def counted(bits):
    return blocks.ones(bits), blocks.first_one(bits)


@given(st.integers(0, 2**64 - 1), st.integers(0, 1000))
def test_ones_are_counted_and_listed(bits, base):
    places = np.full(70, -1)
    places[0] = 5
    last = blocks.list_ones(np.uint64(bits), base, places, 1)
    assert places[:last].tolist() == [5, *(base + place for place in bits_of(bits))]
    assert (places[last + blocks.SPARE :] == -1).all()
    assert counted(np.uint64(bits)) == (bits.bit_count(), min(bits_of(bits), default=64))


@pytest.mark.parametrize("count", [1, 2, 63, 64])
def test_only_the_first_bits(count):
    assert bits_of(blocks.only_first(count)) == list(range(count))
