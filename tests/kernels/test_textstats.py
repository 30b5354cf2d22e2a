import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels.characters import SCRIPTS
from tamis.kernels.textstats import COUNTS, openings, text_counts


def counts_of(*texts, asked=tuple(SCRIPTS), ngram=3):
    parts = [text.encode() if isinstance(text, str) else text for text in texts]
    offsets = np.cumsum([0, *map(len, parts)])
    wanted = np.zeros(32, bool)
    wanted[[list(SCRIPTS).index(script) for script in asked]] = True
    table = text_counts(offsets, np.frombuffer(b"".join(parts), np.uint8), wanted, ngram)
    return [dict(zip(COUNTS, row.tolist(), strict=True)) for row in table]


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("naïve 漢字\t7", "characters", 10),
        ("naïve 漢字\t7", "spaces", 2),
        ("naïve 漢字\t7!", "letters", 8),
        ("naïve 漢字\t7!", "script_letters", 7),  # a digit has no script
        ("naïve 漢字\t7!", "words", 4),
        ("a bc counterintuitively, d", "longest_word", 18),
        ("co\u00adop", "longest_word", 4),
        ("漢字漢字", "longest_word", 0),
        ("a b c a b c", "ngrams", 4),
        ("a b c a b c", "copied_ngrams", 1),
        ("a b", "ngrams", 0),
        ("a a a a a", "copied_ngrams", 2),
        ("one\n\n \ntwo", "lines", 2),
        ("- a\n  * b\n• c\nd - e", "bullet_lines", 3),
        ("so...\nso…\nso..\n...", "ellipsis_lines", 3),
        ("A.\nB\n“C?”\n終。", "ended_lines", 3),
        ("a b\nc", "line_characters", 3),
        ("same line\nother\n  same  line", "copied_line_characters", 8),
        ("# a ## b … and ...", "hashes", 5),
        ("......", "hashes", 2),
        ("```py\nx\n```", "fences", 2),
        ("``` and ``", "fences", 1),
        ("fine", "broken", 0),
        ("a\ufffdb\x00c\x9d", "broken", 3),
        ("tab\tand\r\nnew line", "broken", 0),
        ("cafÃ© and itâ€™s Â£5", "broken", 3),
        ("ÃÂ â Ãpple «é»", "broken", 0),
    ],
)
def test_counts_what_its_name_says(text, name, count):
    assert counts_of(text)[0][name] == count


def test_letters_of_scripts_not_asked_for_are_foreign():
    counted = counts_of("hello привет 漢字 99", asked=("Latin",))[0]
    assert (counted["foreign_letters"], counted["script_letters"]) == (8, 13)
    assert counts_of("hello привет", asked=("Latin", "Cyrillic"))[0]["foreign_letters"] == 0


def test_the_copies_in_a_very_long_text_are_counted_in_its_first_words():
    counted = counts_of("a " * 150_000)[0]
    assert (counted["words"], counted["ngrams"]) == (150_000, 99_998)
    assert counted["copied_ngrams"] == 99_997


@settings(deadline=None)
@given(st.text(st.sampled_from("ab \n"), max_size=80), st.integers(1, 4))
def test_copies_are_those_of_a_set(text, ngram):
    words = text.split()
    runs = [tuple(words[i : i + ngram]) for i in range(len(words) - ngram + 1)]
    lines = ["".join(line.split()) for line in text.split("\n") if line.strip()]
    counted = counts_of(text, ngram=ngram)[0]
    assert (counted["words"], counted["ngrams"]) == (len(words), len(runs))
    assert counted["copied_ngrams"] == len(runs) - len(set(runs))
    assert counted["lines"] == len(lines)
    assert counted["copied_line_characters"] == sum(map(len, lines)) - sum(map(len, set(lines)))


@settings(deadline=None)
@given(st.text(st.sampled_from("a.-…• \t\u3000é終。\xad"), max_size=12))
def test_one_line_is_counted_as_one_of_several(text):
    alone, ended = counts_of(text, text + "\n")
    of_lines = [name for name in COUNTS if "line" in name]
    assert [alone[name] for name in of_lines] == [ended[name] for name in of_lines]


def test_without_runs_the_rest_is_the_same():
    text = "- to be, or not to be...\n- to be, or not to be..."
    whole, less = counts_of(text)[0], counts_of(text, ngram=None)[0]
    left_out = {name for name in COUNTS if "line" in name or "ngrams" in name}
    assert {name for name in COUNTS if whole[name] and not less[name]} == left_out
    assert all(whole[name] == less[name] for name in {*COUNTS} - left_out)


@settings(deadline=None)
@given(st.lists(st.one_of(st.text().map(str.encode), st.binary()), max_size=5))
def test_no_bytes_break_it_and_neighbours_do_not_matter(texts):
    together = counts_of(*texts) if texts else []
    for text, counted in zip(texts, together, strict=True):
        assert counts_of(text)[0] == counted
        assert all(0 <= count <= len(text) + 1 for count in counted.values())


PLAIN = "".join(map(chr, range(128)))
PIECES = (
    st.text(alphabet=PLAIN)
    | st.text(alphabet="aZ_9 .`#\n", min_size=20)
    | st.text(alphabet="..``é漢 \n")
)


@settings(deadline=None, max_examples=400)
@given(st.lists(PIECES, max_size=8).map("".join), st.sampled_from(["", "." * 150, "`" * 150]))
def test_blocks_of_64_bytes_are_counted_as_characters_one_by_one(text, after):
    counted = counts_of(text, after, asked=("Han",))[0]
    letters = [c for c in text if c.isalpha()]
    assert counted["characters"] == len(text)
    spaces, controls = " \t\n\v\f\r", [chr(c) for c in (*range(32), 127)]
    assert counted["spaces"] == sum(c in spaces for c in text)
    assert counted["letters"] == sum(c.isalnum() or c == "_" for c in text)
    assert counted["script_letters"] == len(letters)
    assert counted["foreign_letters"] == len([c for c in letters if c != "漢"])
    assert counted["broken"] == sum(c in controls and c not in spaces for c in text)
    assert counted["hashes"] == text.count("#") + text.count("...")
    assert counted["fences"] == text.count("```")
    runs = re.findall(r"[0-9A-Za-z_é]+", text)
    assert counted["longest_word"] == max(map(len, runs), default=0)
    ends = [line.rstrip(spaces) for line in text.split("\n") if line.strip(spaces)]
    assert counted["lines"] == len(ends)
    assert counted["ended_lines"] == sum(end[-1] in ".!?:;\"')]}" for end in ends)


def test_the_lines_of_a_very_long_text_are_all_counted():
    counted = counts_of("a\n" * 150_000 + "b\n" * 150_000)[0]
    assert (counted["lines"], counted["copied_line_characters"]) == (300_000, 299_998)


def test_lines_and_runs_that_differ_in_one_character_are_not_copies():
    ends = "0123456789:;<=>?@[]^_abcdefghijklmnopqrstuvwxyz"
    lines = [begin + end for begin in ("return", "returns", "") for end in ends]
    assert counts_of("\n".join(lines))[0]["copied_line_characters"] == 0
    numbers = [f"x{n}" for n in range(100_000)]
    counted = counts_of("\n".join(numbers), ngram=1)[0]
    assert (counted["copied_ngrams"], counted["copied_line_characters"]) == (0, 0)


def test_texts_do_not_share_what_they_have_said():
    # More texts than a set has turns would be 8 million: what a turn leaves is not seen later.
    counted = counts_of(*["a b c d\ne f g"] * 5_000)
    assert {(row["copied_ngrams"], row["copied_line_characters"]) for row in counted} == {(0, 0)}


@settings(deadline=None)
@given(st.lists(st.text(alphabet="@AZ[`az{’'1 é"), max_size=5))
def test_openings_are_the_first_letter_and_what_follows(texts):
    raw = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, raw)])
    found = openings(offsets, np.frombuffer(b"".join(raw), np.uint8))
    for text, begin in zip(raw, found, strict=True):
        first = re.search(rb"[A-Za-z]", text)
        expected = text[first.start() : first.start() + 2].lower() if first else b""
        assert begin.tobytes() == expected.ljust(2, b"\0")
