import numpy as np
import pytest

import tamis
from tamis.data.files import home
from tamis.data.pools import stored
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.steps import planned_steps, remaining, run_step

ROWS = [{"text": f"row {number} of the pool"} for number in range(40)]


@pytest.fixture
def pool():
    return stored(ROWS)


def steps_of(pool, text="  - random: {k: 20}\n  - random: {k: 5, seed: 1}\n"):
    return planned_steps(Recipe.parse(f"name: a\nsteps:\n{text}", "recipe"), pool)


def test_a_step_sees_what_those_before_it_kept(pool):
    first, second = steps_of(pool)
    assert run_step(first, pool, []).rows == 40
    outcome = run_step(second, pool, [first])
    assert (outcome.rows, outcome.kept, outcome.reused) == (20, 5, False)
    kept = remaining(pool, [first, second])
    assert len(kept) == 5
    assert set(kept) < set(first.selection.indices)


def test_a_step_that_is_done_is_not_done_again(pool):
    (step, _) = steps_of(pool)
    first = run_step(step, pool, [])
    again = run_step(step, pool, [])
    assert again.reused
    assert (again.kept, again.seconds) == (first.kept, first.seconds)


def test_a_step_says_what_it_asked_of_models_and_nothing_when_it_asked_nothing(pool):
    pytest.importorskip("torch")
    [step] = steps_of(pool, "  - perplexity: {k: 20}\n")
    first, again = run_step(step, pool, []), run_step(step, pool, [])
    assert first.tokens >= 40
    assert again.tokens == first.money == again.money == 0


def test_the_key_holds_all_that_the_result_depends_on(pool):
    (plain, after) = steps_of(pool)
    assert [step.key for step in steps_of(pool)] == [plain.key, after.key]
    other_seed = steps_of(pool, "  - random: {k: 20, seed: 3}\n  - random: {k: 5, seed: 1}\n")
    other_k = steps_of(pool, "  - random: {k: 21}\n  - random: {k: 5, seed: 1}\n")
    other_pool = steps_of(stored(ROWS[:-1]))
    keys = {steps[0].key for steps in (other_seed, other_k, other_pool)} | {plain.key}
    assert len(keys) == 4
    # And what comes before: the second step is the same in all four, its input is not.
    assert len({steps[1].key for steps in (other_seed, other_k, other_pool)} | {after.key}) == 4


def test_half_a_result_is_none(pool, monkeypatch):
    (step, _) = steps_of(pool)

    def killed(*_args, **_settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", killed)
    with pytest.raises(KeyboardInterrupt):
        run_step(step, pool, [])
    assert not step.done
    assert list((home() / "steps").iterdir()) == []


def test_a_renamed_column_is_another_pool_and_keeps_what_was_set_aside(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_text('{"q": "one", "a": "two"}\n{broken\n')
    pool = tamis.load(path, columns={"prompt": "q", "response": "a"})
    whole = stored(pool)
    assert whole.column_names == ["prompt", "response"]
    assert tamis.rejected(whole)["line"][:] == [2]
    assert stored(whole) is whole


def test_the_row_order_of_the_pool_changes_no_result():
    plain, turned = stored(ROWS), stored(ROWS[::-1])
    first, second = steps_of(plain)[0], steps_of(turned)[0]
    run_step(first, plain, [])
    run_step(second, turned, [])
    kept = [plain[int(row)]["text"] for row in first.selection.indices]
    assert kept == [turned[int(row)]["text"] for row in second.selection.indices]
    assert np.array_equal(np.sort(first.selection.scores), np.sort(second.selection.scores))
