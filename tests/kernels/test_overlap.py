import numpy as np
import pytest

from tamis.kernels.overlap import known_runs, shared_runs


def packed(*texts):
    data = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, data)])
    return offsets, np.frombuffer(b"".join(data), np.uint8)


def test_runs_are_as_many_as_there_are_places():
    # Five words have three runs of three; two words are one, if two suffice; one is too few.
    runs, texts = known_runs(*packed("a b c d e", "f g", "h"), length=3, shortest=2)
    assert len(runs) == 4
    assert sorted(texts.tolist()) == [0, 0, 0, 1]
    assert (np.diff(runs) > 0).all()


def test_a_run_that_two_texts_have_is_the_first_one_s():
    runs, texts = known_runs(*packed("x y z", "X Y Z"), length=3, shortest=3)
    assert texts.tolist() == [0]
    assert len(runs) == 1


def test_says_how_many_words_are_covered_and_by_what():
    runs, texts = known_runs(*packed("a b c", "d e f"), length=3, shortest=3)
    covered, words, first = shared_runs(
        *packed("x d e f a b c", "a b", "", "a b c"), runs, length=3, shortest=3
    )
    assert covered.tolist() == [6, 0, 0, 3]
    assert words.tolist() == [7, 2, 0, 3]
    assert np.append(texts, -1)[first].tolist() == [1, -1, -1, 0]


@pytest.mark.parametrize("texts", [[], [""], ["a b"]])
def test_nothing_known_is_nothing_found(texts):
    runs, _ = known_runs(*packed(*texts), length=3, shortest=3)
    assert len(runs) == 0
    covered, *_ = shared_runs(*packed("a b c d"), runs, length=3, shortest=3)
    assert covered.tolist() == [0]


def test_texts_after_a_slice_are_read_where_they_stand():
    offsets, data = packed("skipped", "a b c")
    runs, _ = known_runs(offsets[1:], data, length=3, shortest=3)
    assert shared_runs(offsets[1:], data, runs, length=3, shortest=3)[0].tolist() == [3]
