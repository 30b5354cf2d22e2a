"""LLMLingua-2's labels: the paper's rules on sentences small enough to follow by hand."""

import numpy as np
import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

from training.compressor_labels import Alignment, aligned, faithful, shares


def labels(original, compressed, window=400):
    found = aligned(original.split(), compressed.split(), window)
    return "".join(str(int(label)) for label in found.labels)


def test_the_sheets_example():
    found = aligned(["the", "cat", "sat", "on", "the", "mat"], ["cat", "sat", "mat"])
    assert found.labels == [False, True, True, False, False, True]
    assert found.variation_rate == 0
    assert found.hitting_rate == found.matching_rate == 0.5
    assert found.alignment_gap == 0


def test_what_is_kept_whole_varies_in_nothing_and_leaves_no_gap():
    words = ["a", "dog", "and", "a", "cat", "and", "a", "dog"]
    found = aligned(words, words)
    assert all(found.labels)
    assert (found.variation_rate, found.alignment_gap) == (0, 0)


def test_case_does_not_matter_and_invented_words_are_counted():
    found = aligned(["The", "Sea"], ["SEA", "is", "blue", "the"])
    assert found.labels == [True, True]  # 'the' is found backwards
    assert found.variation_rate == 0.5


def test_a_word_is_taken_once_and_what_follows_it_first():
    # After 'b' at 1 the search for 'a' looks ahead at 2 before it looks behind at 0.
    assert labels("a b a", "b a") == "011"
    assert labels("a b a", "b a a") == "111"


def test_a_word_outside_the_window_is_not_taken():
    # It is hit, as it stands somewhere, but not matched: that is the gap.
    original = ["x"] * 10 + ["y"]
    near, far = (aligned(original, ["y"], window) for window in (11, 10))
    assert near.labels[10]
    assert not any(far.labels)
    assert far.alignment_gap == pytest.approx(1 / 11)


def test_after_a_far_match_the_search_goes_on_from_half_a_window():
    # 'z' at 9 is farther than half of 12: the search goes on at 6, so that the 'w' at 5 is
    # nearer (1 behind) than the one at 8 (2 ahead). From 9 it would be the one at 8.
    original = [*"abcde", "w", "f", "g", "w", "z"]
    assert [i for i, label in enumerate(aligned(original, ["z", "w"], 12).labels) if label] == [
        5,
        9,
    ]
    assert [i for i, label in enumerate(aligned(original, ["z", "w"], 18).labels) if label] == [
        8,
        9,
    ]


def test_the_worst_by_variation_go_first_then_the_worst_gaps():
    def one(variation, gap):
        return Alignment([], variation, gap, 0.0)

    found = [one(0.0, 0.1)] * 8 + [one(0.9, 0.0), one(0.0, 0.8)]
    assert faithful(found, share=0.2) == [0, 1, 2, 3, 4, 5, 6]  # 8 and one more, then 9 alone


def test_a_words_share_is_how_often_it_is_kept_over_all_rates():
    # Three tokens: a word of two with mean 4, one of one with 1. Rates below 2/3 keep part of
    # the first alone; its middle is at 2/3, the other's at 1/6.
    none = np.array([False, False])
    kept = shares(np.array([3.0, 5.0, 1.0]), np.array([0, 0, 1]), none)
    np.testing.assert_allclose(kept, [2 / 3, 2 / 3, 1 / 6])
    assert shares(np.array([2.0, 2.0]), np.array([0, 1]), none).tolist() == [0.5, 0.5]


def test_a_number_is_kept_as_often_as_the_sum_of_its_digits_says():
    # Means of 4 and 5, but the first is a number: its 8 come before the 5.
    losses, words = np.array([3.0, 5.0, 5.0]), np.array([0, 0, 1])
    kept = shares(losses, words, np.array([True, False]))
    np.testing.assert_allclose(kept, [2 / 3, 2 / 3, 1 / 6])
