import numpy as np
import pyarrow.parquet as pq
import pytest

import tamis
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


def test_a_share_that_is_less_than_a_row_of_the_first_few_is_planned(pool):
    (step,) = plan(recipe("  - random: {k: 0.01}\n"), pool).steps
    assert step.kept == 50


# Language models

SERVED = "openai:m?base_url=http://127.0.0.1:9/v1"  # nobody listens there


@pytest.fixture
def asks():
    return stored(
        [{"prompt": f"Say {n}.", "response": f"The number is {n}, as asked."} for n in range(3000)]
    )


def test_tokens_of_a_language_model_are_counted(asks):
    pytest.importorskip("torch")
    (step,) = plan(recipe("  - ifd: {k: 100}\n"), asks).steps
    lm = tamis.models.load("bundled")
    read = lm.logprobs(asks["prompt"][:500], asks["response"][:500])
    # IFD reads each response twice, and the prompt once.
    answers = 3000 * np.mean([len(text.ids) for text in read])
    assert 2 * answers < step.tokens < 4 * answers
    assert (step.kept, step.money) == (100, 0.0)
    assert step.seconds > 0


def test_a_server_is_not_asked_and_its_bill_is_foretold(asks):
    priced = f"{SERVED}&input_price=1&output_price=10"
    steps = recipe(f"  - alpagasus: {{judge: '{priced}'}}\n  - random: {{k: 30}}\n")
    judged, drawn = plan(steps, asks).steps
    written = 3000 * 256
    read = judged.tokens - written
    assert 3000 * 100 < read < 3000 * 400  # the rubric is some 200
    assert judged.money == pytest.approx((read + 10 * written) / 1e6)
    assert judged.seconds is None
    assert judged.kept == 3000  # at most
    assert (drawn.rows, drawn.kept, drawn.tokens) == (3000, 30, 0)


@pytest.mark.parametrize("method", ["ifd", "perplexity"])
def test_a_method_that_cannot_do_without_answers_is_planned_too(method, asks):
    (step,) = plan(recipe(f"  - {method}: {{lm: '{SERVED}', k: 0.5}}\n"), asks).steps
    assert (step.kept, step.seconds, step.money) == (1500, None, None)
    assert step.tokens > 3000 * 10


def test_what_was_not_asked_is_not_kept(asks):
    plan(recipe(f"  - ifd: {{lm: '{SERVED}', k: 0.5}}\n"), asks)
    assert not [*home().rglob("part-*")]


def test_a_slow_model_is_tried_on_fewer_rows(monkeypatch, asks):
    monkeypatch.setattr("tamis.pipelines.plan.PATIENCE", 0.0)
    pytest.importorskip("torch")
    first, second = plan(recipe("  - ifd: {k: 0.5}\n  - random: {k: 30}\n"), asks).steps
    assert (first.rows, first.kept, second.kept) == (3000, 1500, 30)
    stored = [*(home() / "features").rglob("part-*")]
    assert sum(pq.read_metadata(part).num_rows for part in stored) == 2 * 64
