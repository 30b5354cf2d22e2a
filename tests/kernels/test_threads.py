"""Work side by side: order, context, and how it ends."""

import os
import sys
import threading
import time
from contextvars import ContextVar
from pathlib import Path

import pytest

from tamis.kernels.threads import end_if_asked, give_back, side_by_side, spread, yield_to_others

_word: ContextVar[str] = ContextVar("word", default="none")


@pytest.mark.parametrize("together", [1, 2, 7])
def test_results_come_in_order_and_see_the_callers_context(together):
    reset = _word.set("said")
    found = side_by_side(lambda i: (i * i, _word.get()), range(20), together)
    _word.reset(reset)
    assert found == [(i * i, "said") for i in range(20)]


def test_as_many_work_at_once_as_was_said():
    meeting = threading.Barrier(3, timeout=30)  # breaks unless three are there at once
    side_by_side(lambda _: meeting.wait(), range(9), 3)


def test_when_one_fails_those_at_work_end_and_no_other_begins():
    begun = []
    failed = threading.Event()

    def work(i):
        begun.append(i)
        if i == 1:  # the one before it is still at work
            failed.set()
            raise ValueError("the second")
        failed.wait()
        while True:
            end_if_asked()

    with pytest.raises(ValueError, match="the second"):
        side_by_side(work, range(50), 2)
    assert len(begun) < 50


def test_nobody_is_asked_to_end_elsewhere():
    end_if_asked()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_was_freed_goes_back():
    def held():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    pieces = [b"x" * (100_000 + i) for i in range(2000)]  # too small to be mapped one by one
    pin = pieces[-1]  # at the top of the heap: what lies below cannot be cut off
    before = held()
    del pieces
    give_back()
    assert len(pin)
    assert before - held() > 150_000_000


def test_one_item_is_worked_on_where_it_is_asked_for():
    assert [*spread(lambda _: threading.get_ident(), iter([0]))] == [threading.get_ident()]
    assert threading.get_ident() not in spread(lambda _: threading.get_ident(), range(3))
    assert [*spread(str, [])] == []


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has no priority of its own")
def test_one_thread_yields_and_the_others_do_not():
    here = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def yielding(_):
        yield_to_others()
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert max(side_by_side(yielding, range(2), 2)) == 19
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == here


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_are_worked_on_at_once_than_is_said(most, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    at_work, seen = [], []
    all_of_them = threading.Barrier(most)

    def work(item):
        at_work.append(item)
        all_of_them.wait(30)  # however slow a thread is to start
        time.sleep(0.01)
        seen.append(len(at_work))
        at_work.remove(item)
        return item

    assert [*spread(work, range(12), most)] == [*range(12)]
    assert max(seen) == most
