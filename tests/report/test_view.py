import pytest

from tamis.errors import DataError


def test_follows_rows_through_the_steps(pool, view, step):
    # Of 0..5 the first step keeps 1, 3, 4, 5; the second sees those and keeps its rows 3 and 0.
    run = view(pool(6), [step([0.0] * 6, [5, 1, 4, 3]), step([7.0, 1, 2, 8], [3, 0])])
    assert [rows.tolist() for rows in run.inputs] == [[0, 1, 2, 3, 4, 5], [1, 3, 4, 5]]
    assert run.kept.tolist() == [5, 1]
    assert run.fates.tolist() == [0, 2, 0, 1, 1, 2]


def test_refuses_selections_that_do_not_follow_each_other(pool, view, step):
    with pytest.raises(DataError, match=r"step 2 \(b\) was made on 3 rows, .* before kept 2"):
        view(pool(4), [step([0.0] * 4, [0, 1]), step([0.0] * 3, [0], method="b")])


def test_a_run_without_steps_kept_nothing(pool, view):
    assert view(pool(4)).kept.tolist() == []
