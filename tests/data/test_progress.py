from contextlib import redirect_stderr

import pytest
from datasets import Dataset
from doubles import Terminal

from tamis.data.batches import LocalEngine, map_batches, using
from tamis.data.progress import progress_bar, quiet


def walk(**settings):
    return list(progress_bar(range(3), desc="walking", **settings))


def test_a_terminal_gets_a_bar():
    with redirect_stderr(Terminal()) as screen:
        assert walk() == [0, 1, 2]
    assert "walking: 100%" in screen.getvalue()


def test_what_is_no_terminal_gets_none(capsys):
    assert walk() == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_caller_silences_one_bar_or_all_that_it_leads_to():
    with redirect_stderr(Terminal()) as screen:
        assert walk(progress=False) == [0, 1, 2]
        with quiet():
            assert walk() == [0, 1, 2]
            with quiet(False):  # one who does not ask for silence does not end it
                assert walk() == [0, 1, 2]
        assert screen.getvalue() == ""
        walk()
    assert "walking" in screen.getvalue()


@pytest.mark.parametrize("workers", [1, 2])
def test_silence_reaches_what_a_batch_draws(workers):
    pool = Dataset.from_dict({"text": ["a", "b", "c"]})
    with (
        redirect_stderr(Terminal()) as screen,
        quiet(),
        using(LocalEngine(workers=workers, batch_rows=1)),
    ):
        assert len(list(map_batches(pool, lambda batch: walk()))) == 3
    assert screen.getvalue() == ""
