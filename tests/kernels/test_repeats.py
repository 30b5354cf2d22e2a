import numpy as np
import pytest

from tamis.kernels.repeats import met


@pytest.mark.parametrize("step", [1, 2])
def test_what_occurs_again_stays_and_most_of_the_rest_goes(step):
    draw = np.random.default_rng(0)
    keys = draw.integers(0, 2**64, 40_000, np.uint64)
    keys[30_000:] = keys[:10_000]
    keys = draw.permutation(keys)[::step]  # also those that do not lie one behind the other
    wanted = draw.random(len(keys)) < 0.7
    found = met(keys, wanted)
    values, counts = np.unique(keys[wanted], return_counts=True)
    again = wanted & np.isin(keys, values[counts > 1])
    assert again.any()
    assert found[again].all()
    assert not found[~wanted].any()
    assert found[wanted & ~again].mean() < 1 / 12


def test_of_none_none_stay():
    assert met(np.zeros(0, np.uint64), np.zeros(0, bool)).tolist() == []
