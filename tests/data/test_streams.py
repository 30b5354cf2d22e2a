import threading
from itertools import count

import pytest

from tamis.data.streams import ahead


def test_what_is_got_ahead_comes_in_order():
    assert list(ahead(iter(range(100)), depth=3)) == list(range(100))


def test_an_iterator_is_read_while_the_caller_works_and_no_further_than_asked():
    got = []
    items = ahead((got.append(n) or n for n in count()), depth=2)
    assert next(items) == 0
    for _ in range(200):  # 0 was taken; 1 and 2 wait, 3 is in hand
        if len(got) == 4:
            break
        threading.Event().wait(0.01)
    assert got == [0, 1, 2, 3]
    items.close()


def test_an_error_comes_in_its_place():
    def broken():
        yield 1
        raise ValueError("at the second")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="at the second"):
        next(items)


def test_who_stops_early_leaves_no_thread():
    before = threading.active_count()
    items = ahead(count())
    next(items)
    items.close()
    assert threading.active_count() == before
