import numpy as np
import pytest

from tamis.kernels.lexical import mtld


def plainly(words):
    """As McCarthy and Jarvis describe it, word by word."""
    measures = []
    for order in (words, words[::-1]):
        factors, stretch = 0.0, []
        for word in order:
            stretch.append(word)
            if len(set(stretch)) / len(stretch) <= 0.72:
                factors, stretch = factors + 1, []
        if stretch:
            factors += (1 - len(set(stretch)) / len(stretch)) / (1 - 0.72)
        measures.append(len(order) / factors if factors else len(order))
    return sum(measures) / 2


@pytest.mark.parametrize("seed", range(20))
def test_is_what_its_authors_describe(seed):
    words = np.random.default_rng(seed).integers(0, 5 + 3 * seed, size=80)
    assert mtld(words) == pytest.approx(plainly(words.tolist()))


def test_more_repetition_is_less_diversity():
    varied, dull = np.arange(60) % 30, np.arange(60) % 4
    assert mtld(varied) > 2 * mtld(dull)


def test_a_short_text_has_none():
    assert np.isnan(mtld(np.arange(9)))
    assert np.isnan(mtld(np.empty(0, np.int64)))
    assert mtld(np.arange(10)) == 10
