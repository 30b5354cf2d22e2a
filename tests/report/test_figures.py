import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.report.figures import length_shape, reason_counts, row_facts, score_shape, source_mix
from tamis.selectors.selection import Selection


def counts(made, most=8):
    return [(count.name, count.rows) for count in reason_counts(made.selection, most)]


def test_reasons_that_differ_by_an_id_alone_are_one_kind(step):
    made = step(
        [0.0] * 5, [0], ["", "copy of 1a2b3c4d…", "copy of 5e6f7a8b…", "short", "copy of 00aa…"]
    )
    assert counts(made) == [("copy of …", 3), ("short", 1)]


def test_numbers_in_reasons_are_kept_unless_there_are_too_many_kinds(step):
    reasons = ["", "over 5 lines", "over 6 lines", "over 6 lines", "a decade old"]
    made = step([0.0] * 5, [0], reasons)
    assert counts(made) == [("over 6 lines", 2), ("a decade old", 1), ("over 5 lines", 1)]
    assert counts(made, most=2) == [("over … lines", 3), ("a decade old", 1)]


def test_the_last_kind_sums_up_the_rest(step):
    made = step([0.0] * 7, [0], ["", "a", "a", "a", "b", "c", "d"])
    assert counts(made, most=2) == [("a", 3), ("3 other kinds of reason", 3)]


@given(
    reasons=st.lists(st.text("ab1…", max_size=3), min_size=1, max_size=30), most=st.integers(2, 5)
)
def test_every_dropped_row_is_counted_once(reasons, most):
    rows = len(reasons)
    selection = Selection([0], np.zeros(rows), ["kept", *reasons[1:]], pa.table({}))
    kinds = reason_counts(selection, most)
    assert sum(kind.rows for kind in kinds) == rows - 1
    assert len(kinds) <= most


def test_every_scored_row_is_in_a_bar_or_beyond_the_edges(step):
    shape = score_shape(step(np.random.default_rng(0).normal(size=500), range(40)).selection)
    for group, rows in ((shape.kept, 40), (shape.dropped, 460)):
        assert group.rows == rows
        assert group.shares.sum() * rows / 100 + group.beyond == pytest.approx(rows)


def test_a_few_kept_rows_far_off_are_drawn_with_the_nearest_of_the_dropped(step):
    # 10 of 10,000 rows: less than the half percent that is left out of a group's range.
    scores = np.r_[np.linspace(100, 101, 10), np.linspace(0, 1, 9990)]
    shape = score_shape(step(scores, range(10)).selection)
    assert shape.edges[0] == pytest.approx(0.75, abs=0.01)
    assert shape.edges[-1] == pytest.approx(101, abs=0.01)


def test_a_long_tail_of_dropped_rows_does_not_press_the_kept_into_one_bar(step):
    # The kept lie between 0 and 10, the dropped from -1000 on: drawn is -30 to 10.
    scores = np.r_[np.linspace(0, 10, 100), np.geomspace(1, 1000, 400) * -1]
    shape = score_shape(step(scores, range(100)).selection)
    assert shape.edges[0] == pytest.approx(-30, abs=0.5)
    assert shape.kept.beyond <= 2
    assert shape.dropped.beyond == (scores < shape.edges[0]).sum() > 150


def test_one_far_row_does_not_flatten_the_picture(step):
    scores = np.r_[np.linspace(0, 1, 1000), 1e9, -np.inf, np.nan]
    shape = score_shape(step(scores, range(500, 1000)).selection)
    assert shape.edges[-1] < 1.1
    assert shape.dropped.rows == 501


@pytest.mark.parametrize("scores", [[np.nan] * 4, [3.0] * 4, [np.inf, 1.0, np.nan, 1.0]])
def test_nothing_is_drawn_of_scores_that_tell_nothing_apart(step, scores):
    assert score_shape(step(scores, [0]).selection) is None


@pytest.mark.parametrize("kept", [[], [0, 1, 2, 3]])
def test_nothing_is_drawn_where_all_were_kept_or_dropped(step, kept):
    made = step([1.0, 2, 3, 4], kept)
    assert score_shape(made.selection) is None
    assert length_shape(np.arange(4), made.selection.kept) is None


def test_medians_are_of_the_rows_and_not_of_the_bars(step):
    shape = score_shape(step([1.0, 5, 100, 2, 4], [0, 1, 2]).selection)
    assert (shape.kept.median, shape.dropped.median) == (5, 3)


def test_lengths_are_characters_of_prompt_and_response(view):
    run = view([{"prompt": "né", "completion": "字字"}, {"prompt": "", "completion": "x"}])
    assert row_facts(run.pool).lengths.tolist() == [5, 1]  # with the line between the two


def test_lengths_are_spread_in_decimal_logarithms_and_their_medians_are_not():
    shape = length_shape(np.array([0, 1000, 10, 100, 3]), np.arange(5) < 2)
    assert (shape.edges[0], shape.edges[-1]) == pytest.approx((0, 3), abs=0.02)
    assert (shape.kept.median, shape.dropped.median) == (500, 10)


def test_sources_before_and_after(pool, view, step):
    run = view(pool(8), [step([0.0] * 8, [0, 3, 1])])  # sources 0 0 1 of 3, 3 and 2 rows
    mix = source_mix(run, row_facts(run.pool), most=3)
    assert [(m.source, m.pool, m.kept) for m in mix] == [
        ("source 0", 3, 2), ("source 1", 3, 1), ("source 2", 2, 0)
    ]  # fmt: skip


def test_small_sources_are_summed_up(pool, view, step):
    run = view(pool(8), [step([0.0] * 8, [0, 3, 1])])
    mix = source_mix(run, row_facts(run.pool), most=2)
    assert [(m.source, m.pool, m.kept) for m in mix] == [
        ("source 0", 3, 2),
        ("2 other sources", 5, 1),
    ]


def test_batches_without_a_source_count_as_one(view):
    run = view([{"text": "a"}, {"text": "b"}])
    assert source_mix(run, row_facts(run.pool), most=5)[0].pool == 2
