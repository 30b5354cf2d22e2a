import pytest

from tamis.data.files import home
from tamis.data.pools import stored
from tamis.pipelines.plan import plan
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.steps import planned_steps, run_step


@pytest.fixture
def pool():
    return stored([{"text": f"row {number} of a pool of many"} for number in range(5000)])


def recipe(text):
    return Recipe.parse(f"name: a\nsteps:\n{text}", "recipe")


def test_says_rows_in_and_out_of_every_step(pool):
    expected = plan(recipe("  - random: {k: 0.5}\n  - random: {k: 300, seed: 1}\n"), pool)
    assert (expected.rows, expected.sample_rows) == (5000, 2000)
    assert [(step.rows, step.kept) for step in expected.steps] == [(5000, 2500), (2500, 300)]
    assert all(step.seconds > 0 and step.memory_bytes > 10**6 for step in expected.steps)
    assert expected.seconds == sum(step.seconds for step in expected.steps)


def test_a_step_that_is_done_costs_nothing(pool):
    twice = recipe("  - random: {k: 0.5}\n  - random: {k: 300, seed: 1}\n")
    run_step(planned_steps(twice, pool)[0], pool, [])
    first, second = plan(twice, pool).steps
    assert (first.done, first.seconds) == (True, 0.0)
    assert not second.done


def test_nothing_is_written(pool):
    plan(recipe("  - random: {k: 0.5}\n"), pool)
    assert not (home() / "steps").exists()
    assert not (home() / "runs").exists()
