import pytest

from tamis.models.base import IncompleteError
from tamis.models.contexts import answered, fits


def test_what_does_not_fit_with_its_answer_is_found(tiny):
    assert tiny.context == 1024
    words = len(tiny.tokenizer("sky")["input_ids"]) - 1
    long = "sky" * (1000 // words)
    short = fits(tiny, ["sky", long, long], ["", "", long])
    assert short.tolist() == [True, True, False]
    assert fits(tiny, ["sky", long], room=100).tolist() == [True, False]


def test_the_border_is_exact(tiny):
    text = "z" * 1023  # a token each, and one that stands before
    assert fits(tiny, [text, text + "z"]).tolist() == [True, False]


def test_messages_count_with_their_template(tiny):
    asked = [{"role": "user", "content": "z" * 1020}]
    assert fits(tiny, [asked, asked[0]["content"]]).tolist() == [False, True]


def test_a_model_that_states_no_context_takes_all():
    assert fits(object(), ["long " * 10**5]).tolist() == [True]


def server(lost):
    """Squares numbers, but for those that are lost, in batches of four."""
    known = set()

    def ask(rows):
        for first in range(0, len(rows), 4):
            batch = rows[first : first + 4]
            reasons = {first + i: lost[row] for i, row in enumerate(batch) if row in lost}
            known.update(row for row in batch if row not in lost)
            if reasons:
                raise IncompleteError("lost", [None] * len(rows), reasons)
        return [row * row for row in rows]

    return ask


def test_what_is_refused_stops_nothing_else():
    answers, refused = answered(range(10), server({3: "HTTP 400, too long", 9: "HTTP 422"}))
    assert answers == {i: i * i for i in range(10) if i not in (3, 9)}
    assert refused == {3: "HTTP 400, too long", 9: "HTTP 422"}


def test_what_may_pass_is_an_error():
    with pytest.raises(IncompleteError):
        answered(range(10), server({3: "HTTP 400, too long", 2: "HTTP 503"}))


def test_nothing_is_asked_of_nothing():
    assert answered([], server({})) == ({}, {})
