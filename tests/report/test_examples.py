import json

import numpy as np
import pytest

from tamis.report import examples
from tamis.report.examples import best_kept, kept_table, near_misses, worst_kept


def prompts(rows):
    return [row.texts["Prompt"].text for row in rows]


def test_near_misses_of_a_line_lie_just_below_it(pool, view, step):
    run = view(pool(6), [step([1.0, 6, 3, 5, 2, 4], [1, 3])])
    assert prompts(near_misses(run, 0, 2)) == ["prompt 5", "prompt 2"]


def test_near_misses_of_a_band_lie_on_either_side(pool, view, step):
    run = view(pool(6), [step([1.0, 4.0, 5.0, 6.5, 9.0, np.nan], [1, 2])])
    assert prompts(near_misses(run, 0, 2)) == ["prompt 3", "prompt 0"]


def test_near_misses_of_a_draw_are_the_highest_that_lost(pool, view, step):
    run = view(pool(5), [step([9.0, 2.0, 8.0, 7.0, 1.0], [0, 1])])
    assert prompts(near_misses(run, 0, 3)) == ["prompt 2", "prompt 3", "prompt 4"]


def test_equal_near_misses_go_by_id_whatever_the_order(pool, view, step):
    made = step(
        [5.0, 1, 1, 1], [0], ids=np.array([b"d" * 16, b"c" * 16, b"b" * 16, b"a" * 16], "V16")
    )
    assert prompts(near_misses(view(pool(4), [made]), 0, 2)) == ["prompt 3", "prompt 2"]


def test_without_scores_each_frequent_reason_has_its_row(pool, view, step):
    made = step([np.nan] * 5, [1], ["long", "", "short", "short", "odd"])
    rows = near_misses(view(pool(5), [made]), 0, 2)
    assert [(row.reason.text, *prompts([row])) for row in rows] == [
        ("short", "prompt 2"), ("long", "prompt 0")
    ]  # fmt: skip


def test_near_misses_belong_to_the_pool_and_not_to_the_step(pool, view, step):
    run = view(pool(6), [step([0.0] * 6, [1, 3, 5]), step([1.0, 2, 3], [2])])
    assert prompts(near_misses(run, 1, 1)) == ["prompt 3"]


@pytest.mark.parametrize(
    ("kept", "best", "worst"),
    [(1, [1], []), (2, [1], [2]), (3, [1, 2], [3]), (9, [1, 2, 3], [9, 8, 7])],
)
def test_no_row_is_both_best_and_worst(pool, view, step, kept, best, worst):
    run = view(pool(10), [step(np.zeros(10), range(kept))])
    assert [row.rank for row in best_kept(run, 3)] == best
    assert [row.rank for row in worst_kept(run, 3)] == worst


def test_a_long_text_is_cut_and_says_how_much_is_missing(view, step):
    run = view([{"text": "x" * 100_000}], [step([1.0], [0])])
    text = best_kept(run, 1)[0].texts["Text"]
    assert (len(text.text), text.left_out) == (1200, 98_800)


def test_the_table_is_json_that_cannot_end_its_script(view, step):
    text = "</script><!--<b>&\u2028é"
    table = kept_table(view([{"prompt": text, "completion": "r"}], [step([np.nan], [0])]))
    assert not set("<>&\u2028") & set(str(table.json))
    [[rank, score, _, prompt, *_]] = json.loads(table.json)
    assert (rank, score, prompt) == (1, None, text)


def test_a_table_that_would_be_too_large_is_thinned_evenly(view, step, monkeypatch):
    monkeypatch.setattr(examples, "TABLE_ROWS", 100)
    monkeypatch.setattr(examples, "TABLE_BYTES", 3000)
    run = view([{"text": f"row {n}"} for n in range(1000)], [step(np.zeros(1000), range(1000))])
    table = kept_table(run)
    ranks = [row[0] for row in json.loads(table.json)]
    assert len(str(table.json).encode()) <= 3000 + 2 * len(ranks) + 2
    assert table.rows == len(ranks) > 10
    assert ranks[0] == 1
    assert max(np.diff(ranks)) - min(np.diff(ranks)) <= 2
    assert ranks[-1] > 900
