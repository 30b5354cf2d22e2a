"""Selective Context: held to the released code on a formula, and to sentences read off by eye."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest

from tamis.errors import SettingError
from tamis.models.base import TokenLogprobs
from tamis.prompting import compress
from tamis.prompting.compression.selective_context import phrase_ends, sentence_ends
from tests.prompting.compression.readers import Words, golden

GOLDEN = golden("selective_context")
LEVELS = {"sent": "sentence", "phrase": "phrase", "token": "token"}


class Formula(Words):
    """The golden file's self-information."""

    piece = re.compile(r" ?\w{1,4}|[^\w]")

    def score(self, before, text):
        spans = np.array([m.span() for m in self.piece.finditer(text)], np.int64).reshape(-1, 2)
        pieces = [text[a:b] for a, b in spans]
        information = [
            2.5 + 2 * math.sin(0.9 * i + 0.1 * len(x) + 0.05 * ord(x[-1]))
            for i, x in enumerate(pieces, start=1)
        ]
        return TokenLogprobs(text, spans, np.full(len(spans), -1), -np.array(information))


def merged_words(sentence):
    """The golden file's phrases: a word of at most three letters goes with the next."""
    phrases = []
    for found in re.finditer(r" ?\S+", sentence):
        if phrases and len(phrases[-1].split()) == 1 and len(phrases[-1].strip()) <= 3:
            phrases[-1] += found.group()
        else:
            phrases.append(found.group())
    return phrases


@pytest.mark.parametrize(
    "case",
    [case for case in GOLDEN["cases"] if case["reduce_ratio"] > 0],
    ids=lambda case: f"{case['level']}-{case['reduce_ratio']}",
)
def test_reference_gives_the_released_reduction(case):
    done = compress(
        GOLDEN["text"],
        rate=1 - case["reduce_ratio"],
        method="selective-context",
        units=LEVELS[case["level"]],
        phrases=merged_words,
        reference=True,
        lm=Formula(),
        tokenizer=str.split,
    )
    assert done.text == case["expected"]["context"]
    assert done.text == "".join(done.original[start:end] for start, end in done.kept)


def test_a_dropped_sentence_was_the_least_informative():
    # Sums over the pieces, by the checksums of `Words`, checked by hand: the first is all common.
    text = "It was of the. Kepler measured Mars. Tycho watched."
    done = compress(text, rate=0.75, method="selective-context", units="sentence", lm=Words())
    assert done.text == "Kepler measured Mars. Tycho watched."


def test_sentences_end_where_a_reader_ends_them():
    text = 'Dr. Wu left at 3.5 p.m. on foot. "Why?" he asked. e.g. this\nA line. 東京。次'
    starts = [0, *sentence_ends(text)]
    assert [text[a:b] for a, b in pairwise(starts)] == [
        "Dr. Wu left at 3.5 p.m. on foot. ",
        '"Why?" ',
        "he asked. ",
        "e.g. this\n",
        "A line. ",
        "東京。",
        "次",
    ]


def test_phrases_join_to_their_sentence():
    text = "  The tall trees of the old forest, which nobody had counted for years, fell.  "
    ends = phrase_ends(text)
    assert ends[-1] == len(text)
    assert (np.diff(ends) > 0).all()


def test_a_splitter_that_changes_the_words_is_refused():
    with pytest.raises(SettingError, match="changed a sentence"):
        compress(
            "One two three four.",
            rate=0.5,
            method="selective-context",
            phrases=lambda sentence: sentence.split(),
            lm=Words(),
        )
