import numpy as np
import pytest
from doubles import Numbers, pool_at

from tamis.errors import SettingError
from tamis.selectors.data_shapley import DataShapley
from tamis.selectors.ts_dshapley import TransferredShapley


def blobs(count, seed, wrong=0.0):
    """Two classes around (−2, 0) and (2, 0); the first rows, a share of all, are mislabelled."""
    draw = np.random.default_rng(seed)
    side = draw.integers(0, 2, count)
    points = np.round(draw.normal(size=(count, 2)) + np.stack([4 * side - 2, 0 * side], 1), 3)
    side[: int(wrong * count)] ^= 1
    return pool_at(*points.tolist(), label=[f"class {number}" for number in side])


POOL, TARGET = blobs(300, 0, wrong=0.1), blobs(100, 1)


def transferred(**settings):
    return TransferredShapley(target=TARGET, embedder=Numbers(), **settings)


@pytest.mark.parametrize("learner", ["ridge", "logistic"])
def test_wrong_labels_are_worth_least(learner):
    scores = transferred(share=0.1, learner=learner).select(POOL).scores
    assert scores[:30].mean() < 0 < scores[30:].mean()
    assert np.isin(np.arange(30), np.argsort(scores)[:60]).mean() > 0.9


@pytest.mark.parametrize("learner", ["ridge", "logistic"])
def test_one_chain_of_everything_is_data_shapley(learner):
    settings = {"permutations": 20, "truncation": 0, "seed": 5, "learner": learner}
    one = transferred(share=1.0, chains=1, **settings).select(POOL).scores
    plain = DataShapley(target=TARGET, embedder=Numbers(), within=0, **settings).select(POOL).scores
    assert one.tolist() == plain.tolist()


def test_what_was_never_drawn_has_no_value():
    picked = transferred(share=0.1, chains=2).select(POOL)
    drawn = picked.signals["chains"].to_numpy()
    assert np.isnan(picked.scores).tolist() == (drawn == 0).tolist()
    assert set(picked.reasons[drawn == 0]) == {"never drawn, so not valued"}
    assert drawn.sum() == 60
    assert np.isnan(picked.signals["error"].to_numpy()).tolist() == (drawn < 2).tolist()


def test_by_default_an_example_is_in_ten_chains_on_average():
    drawn = transferred(permutations=1).select(POOL).signals["chains"].to_numpy()
    assert drawn.mean() == pytest.approx(10, rel=0.01)


def test_without_k_the_harmful_are_dropped_and_few_others():
    picked = transferred(share=0.1).select(POOL)
    assert (picked.indices < 30).mean() < 0.05
    assert len(picked) >= 100


def test_values_add_up_within_each_chain():
    # All of a chain's values together are what its sample teaches, above a guess.
    picked = transferred(share=0.1, chains=1, truncation=0).select(POOL)
    assert 0.2 < np.nansum(picked.scores) <= 0.5


@pytest.mark.parametrize("wrong", [{"share": 0}, {"share": 1.1}, {"chains": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=r"TransferredShapley: .*; give"):
        transferred(**wrong)
