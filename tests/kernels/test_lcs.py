import random

import numpy as np
import pytest

from tamis.kernels.lcs import nearest, sign


def texts_of(draw, count, longest):
    sizes = [draw.choice([0, 1, 5, 63, 64, 65, longest]) for _ in range(count)]
    return [[draw.randrange(draw.choice([2, 5, 40])) for _ in range(size)] for size in sizes]


def by_table(a, b):
    """The textbook's table: what the bits must agree with."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = (
                table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
            )
    return table[-1][-1]


def laid_out(texts):
    words = np.array([word for text in texts for word in text], np.int32)
    starts = np.cumsum([0, *map(len, texts)])
    signed = [sign(np.array(text, np.int32)) for text in texts]
    return (
        words,
        starts,
        np.array([bits for bits, _ in signed]),
        np.array([slack for _, slack in signed], np.int32),
    )


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("at_least", [0.0, 0.4, 0.7])
def test_finds_what_the_textbook_finds(seed, at_least):
    draw = random.Random(seed)
    texts, (query,) = texts_of(draw, 12, 200), texts_of(draw, 1, 130)
    lengths = [by_table(query, text) for text in texts]
    near = [
        2 * length / (len(query) + len(text)) if length else 0.0
        for length, text in zip(lengths, texts, strict=True)
    ]
    slots = np.full(40, -1, np.int32)

    found = nearest(np.array(query, np.int32), *laid_out(texts), at_least, slots)

    best = int(np.argmax(near))
    assert found == (
        (best, lengths[best]) if near[best] > 0 and near[best] >= at_least else (-1, 0)
    )
    assert (slots == -1).all()


def test_the_first_of_equals_is_nearest():
    texts = [[1, 2, 3, 9], [1, 2, 3, 4], [1, 2, 3, 4]]
    assert nearest(
        np.array([1, 2, 3, 4], np.int32), *laid_out(texts), 0.7, np.full(10, -1, np.int32)
    ) == (1, 4)


def test_a_floor_that_is_met_exactly_counts():
    # 7 of 10 and 10 words in common: F is 0.7, and 0.7 * 20 is 14 to the last bit.
    one, other = [*range(10)], [*range(7), 17, 18, 19]
    found = nearest(np.array(one, np.int32), *laid_out([other]), 0.7, np.full(20, -1, np.int32))
    assert found == (0, 7)


def test_nothing_is_nearest_to_nothing():
    empty = np.empty(0, np.int32)
    assert nearest(empty, *laid_out([[], [1]]), 0.0, np.full(2, -1, np.int32)) == (-1, 0)


def test_words_that_share_a_bit_of_the_sign_hide_no_common_word():
    # 400 words on 128 bits: the slack has to make up for every collision.
    texts = [[*range(400)], [*range(0, 800, 2)]]
    query = np.arange(400, dtype=np.int32)
    assert nearest(query, *laid_out(texts), 0.99, np.full(800, -1, np.int32)) == (0, 400)
