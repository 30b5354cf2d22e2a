import os

import numpy as np
import pytest

from tamis.data.files import home
from tamis.data.pools import stored
from tamis.errors import DataError
from tamis.pipelines.growth import Fit, measured
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.steps import planned_steps
from tamis.selectors import KCenter

SIZES = [1000, 2000, 4000, 8000]


@pytest.mark.parametrize("power", [0.5, 1.0, 1.3, 2.0])
def test_a_power_is_found_again(power):
    fit = Fit.of(SIZES, [1e-4 * size**power for size in SIZES])
    assert fit.exponent == pytest.approx(power)
    assert fit.error == pytest.approx(0, abs=1e-9)


def test_a_power_above_one_is_carried_over_and_a_start_is_not():
    square = Fit.of(SIZES, [1e-6 * size**2 for size in SIZES])
    assert square.at(1e6) == pytest.approx(1e6)
    begun = Fit.of(SIZES, [0.5 + 1e-5 * size for size in SIZES])
    assert begun.exponent < 1
    assert begun.at(1e9) == pytest.approx(1e4, rel=1e-3)


def test_a_power_that_is_not_sure_is_not_carried_over():
    # Linear, but for noise that looks like n^1.04: carried on, that would be half as much again.
    fit = Fit.of(SIZES, [1.0, 2.4, 3.6, 9.5])
    assert fit.exponent > 1.03
    assert not fit.superlinear
    assert fit.at(8e8) < 1.3 * 9.5e5


def test_one_size_is_carried_over_in_proportion():
    fit = Fit.of([500, 500, 500, 500], [1.0, 1.1, 0.9, 1.0])
    assert (fit.exponent, fit.error) == (1.0, np.inf)
    assert fit.at(5000) == pytest.approx(10)


@pytest.fixture
def pool():
    return stored(
        [{"text": f"row {number} of a pool of many, as long as it is"} for number in range(1500)]
    )


def steps(text, pool):
    return planned_steps(Recipe.parse(f"name: a\nsteps:\n{text}", "recipe"), pool)


def test_four_sizes_that_share_no_row(pool):
    (growth,) = measured(steps("  - random: {k: 0.5}\n", pool), pool)
    assert len(growth.fit.rows) == 4
    assert np.allclose(np.divide(growth.fit.rows[1:], growth.fit.rows[:-1]), 2, atol=0.05)
    assert sum(growth.fit.rows) <= 1500
    assert growth.trial.seen == growth.fit.rows[-1]
    assert growth.kept(10**9) == pytest.approx(5e8, rel=0.01)
    assert growth.row_bytes > 20


def test_a_step_costs_what_it_costs_on_what_the_one_before_left(pool):
    first, second = measured(
        steps("  - random: {k: 0.5}\n  - random: {seed: 1, k: 0.1}\n", pool), pool
    )
    assert second.trial.seen == len(first.trial.selection)


def test_what_was_computed_before_spares_nothing(pool):
    # A k-center needs vectors: they are computed for every size, though the home has them all.
    KCenter().select(pool, 10, progress=False)
    kept = sorted(home().rglob("part-*"))
    (growth,) = measured(steps("  - kcenter: {k: 20}\n", pool), pool)
    assert growth.stored_bytes > 100
    assert sorted(home().rglob("part-*")) == kept


def test_the_home_is_what_it_was(pool):
    before = os.environ["TAMIS_HOME"]
    measured(steps("  - random: {k: 0.5}\n", pool), pool)
    assert os.environ["TAMIS_HOME"] == before


def test_a_sample_that_is_too_small_is_refused(pool):
    few = pool.select(range(40))
    with pytest.raises(DataError, match="the sample has 40 rows; give at least 150"):
        measured(steps("  - random: {k: 0.5}\n", few), few)
