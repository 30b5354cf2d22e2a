import math

import numpy as np
import pytest

from tamis.kernels.bm25 import best, index_of
from tamis.kernels.highest import highest


def buffers(texts):
    data = [text.encode() for text in texts]
    return np.cumsum([0, *map(len, data)]), np.frombuffer(b"".join(data) or b" ", np.uint8)


def plain(texts, query, k1=1.5, b=0.75):
    """The formula, word by word."""
    words = [text.lower().split() for text in texts]
    mean = sum(map(len, words)) / len(words)
    scores = []
    for text in words:
        score = 0.0
        for word in query.lower().split():
            holders = sum(word in other for other in words)
            often = text.count(word)
            rarity = math.log(1 + (len(words) - holders + 0.5) / (holders + 0.5))
            score += rarity * often * (k1 + 1) / (often + k1 * (1 - b + b * len(text) / mean))
        scores.append(score)
    return scores


TEXTS = [
    "the cat sat on the mat", "the dog sat", "a cat and a cat and a dog", "", "birds",
    "the the the the", "on a mat a bird sat while the dog and the cat ran about",
]  # fmt: skip


@pytest.mark.parametrize("query", ["cat", "the cat sat", "mat mat dog", "THE Bird", "a"])
def test_scores_are_those_of_the_formula(query):
    rows, scores = best(index_of(*buffers(TEXTS)), *buffers([query]), n=7)
    expected = np.array(plain(TEXTS, query))
    found = rows[0][rows[0] >= 0]
    assert sorted(found) == np.flatnonzero(expected > 0).tolist()
    assert scores[0][: len(found)] == pytest.approx(np.sort(expected)[::-1][: len(found)])
    assert expected[found] == pytest.approx(scores[0][: len(found)])


def test_of_equal_texts_the_first_comes_first():
    rows, _ = best(index_of(*buffers(["b", "a x", "a y", "a z", "c"])), *buffers(["a"]), n=2)
    assert rows.tolist() == [[1, 2]]


def test_a_query_of_unknown_words_or_none_finds_nothing():
    rows, scores = best(index_of(*buffers(TEXTS)), *buffers(["zebra", "", "?!"]), n=2)
    assert (rows == -1).all()
    assert (scores == 0).all()


def test_a_word_in_every_text_does_not_count_against_them():
    _, scores = best(index_of(*buffers(["the cat", "the dog"])), *buffers(["the"]), n=2)
    assert (scores > 0).all()


def test_texts_are_read_in_pieces_as_they_are_at_once(monkeypatch):
    whole = best(index_of(*buffers(TEXTS)), *buffers(TEXTS), n=3)
    monkeypatch.setattr("tamis.kernels.bm25._TEXTS_TOGETHER", 2)
    parts = best(index_of(*buffers(TEXTS)), *buffers(TEXTS), n=3)
    assert (whole[0] == parts[0]).all()
    assert (whole[1] == parts[1]).all()


@pytest.mark.parametrize("seed", range(10))
def test_the_highest_are_those_of_a_stable_sort(seed):
    scores = np.random.default_rng(seed).integers(5, size=30).astype(float)
    assert highest(scores, 12).tolist() == np.argsort(-scores, kind="stable")[:12].tolist()


def test_what_is_no_score_is_never_among_the_highest():
    assert highest(np.array([np.nan, 1, -np.inf, 0]), 3).tolist() == [1, 3]
