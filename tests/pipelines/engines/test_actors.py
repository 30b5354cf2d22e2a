"""Actors keep their models until other work wants what they hold."""

import os
from functools import partial

import pytest
from elsewhere import held, kills, process, rests, squares_slowly
from scheduling import eventually

pytest.importorskip("ray")

import tamis
from tamis.errors import RunError
from tamis.pipelines.engines.actors import dismiss, through_actors


@pytest.fixture
def ask():
    """What a process says of the model that it holds."""
    return partial(held, tamis.models.load_embedder("bundled"))


def stands(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pids):
    """Wait until there is none of these processes any more."""
    return eventually(lambda: not any(map(stands, pids)), "the end of processes", every=0.05)


def test_a_model_is_loaded_for_the_first_pass_alone(engine, ask):
    first, second = (set(engine.each(range(40), ask, "ask")) for _ in range(2))
    assert first & second  # processes, and where in them the model lies
    assert os.getpid() not in {pid for pid, _ in first | second}


def test_other_work_gets_their_cores(engine, pool, ask):
    actors = {pid for pid, _ in engine.each(range(40), ask, "ask")}
    assert not actors & set(engine.map(pool, process, "where"))
    assert gone(actors)


def test_a_pass_that_lost_its_actors_to_other_work_goes_on(engine, pool, ask):
    found = engine.each(range(40), ask, "ask")
    before, _ = next(found)
    assert len(list(engine.map(pool, process, "where"))) > 1
    after = [pid for pid, _ in found]
    assert len(after) == 39
    assert before != after[-1]


def test_answers_come_in_order_whoever_is_first(ray):
    dismiss("CPU")
    found = through_actors(squares_slowly, range(9), "CPU", 2)
    assert list(found) == [number**2 for number in range(9)]
    assert list(through_actors(squares_slowly, [], "CPU", 2)) == []


def test_a_pass_begins_with_those_there_is_room_for(ray):
    dismiss("CPU")
    pids = set(through_actors(process, range(20), "CPU", 5))  # on two cores
    assert 1 <= len(pids) <= 2
    dismiss("CPU")


def test_what_kills_each_that_is_at_it_ends_the_pass_and_no_other(engine, ask):
    with pytest.raises(RunError, match=r"^ray: .*actor died unexpectedly.*; its logs say more$"):
        list(engine.each(range(5), partial(kills, ask), "kill"))
    assert len(list(engine.each(range(5), ask, "ask"))) == 5


def test_what_was_left_is_not_waited_for(engine, ask, tmp_path):
    pids = engine.each(range(4), partial(rests, ask, tmp_path), "rest")
    first = next(pids)
    eventually(lambda: [*tmp_path.iterdir()], "one that rests", every=0.05)  # or both do
    pids.close()
    assert gone([first, *(int(mark.name) for mark in tmp_path.iterdir())])
    assert len(list(engine.each(range(4), ask, "ask"))) == 4
