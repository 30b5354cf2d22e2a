import numpy as np
import pytest
from doubles import Numbers, pool_at

from tamis.errors import SettingError
from tamis.selectors.data_shapley import DataShapley


def blobs(count, seed, flip=()):
    """Two classes around (−2, 0) and (2, 0); the rows in `flip` carry the wrong label."""
    draw = np.random.default_rng(seed)
    side = draw.integers(0, 2, count)
    points = np.round(draw.normal(size=(count, 2)) + np.stack([4 * side - 2, 0 * side], 1), 3)
    side[list(flip)] ^= 1
    return pool_at(*points.tolist(), label=[f"class {number}" for number in side])


FLIPPED = list(range(6))
POOL, TARGET = blobs(60, 0, FLIPPED), blobs(80, 1)


def shapley(**settings):
    return DataShapley(target=TARGET, embedder=Numbers(), **settings)


@pytest.mark.parametrize(
    ("learner", "semivalue", "least"),
    [
        ("ridge", "shapley", 5),
        ("ridge", "beta", 5),
        ("logistic", "shapley", 5),
        ("logistic", "beta", 4),
    ],
)
def test_wrong_labels_are_worth_least(learner, semivalue, least):
    settings = {"semivalue": semivalue, "learner": learner}
    scores = shapley(**settings, permutations=300).select(POOL).scores
    assert scores[FLIPPED].mean() < 0 < np.median(scores)
    lowest = set(np.argsort(scores)[:9].tolist())
    assert len(lowest & set(FLIPPED)) >= least  # one lies between the classes


def test_without_k_what_does_harm_is_dropped():
    picked = shapley(permutations=300).select(POOL)
    assert len(set(FLIPPED) & set(picked.indices.tolist())) <= 1  # one lies between the classes
    assert (picked.scores[picked.indices] >= 0).all()
    assert len(picked) > 40


@pytest.mark.parametrize("learner", ["ridge", "logistic"])
def test_values_add_up_to_accuracy_above_a_guess(learner):
    # Untruncated, any number of permutations will do. The two classes part well: about 0.97.
    scores = shapley(learner=learner, permutations=2, truncation=0).select(POOL).scores
    assert scores.sum() == pytest.approx(np.round(scores.sum() * 80) / 80)
    assert 0.9 - 0.5 < scores.sum() <= 0.5


def test_beta_of_one_and_one_is_shapley():
    plain = shapley(permutations=20).select(POOL).scores
    beta = shapley(permutations=20, semivalue="beta", alpha=1, beta=1).select(POOL).scores
    assert beta == pytest.approx(plain, rel=1e-9)


def test_errors_shrink_as_more_is_drawn():
    few = shapley(permutations=64, within=0).select(POOL).signals["error"].to_numpy()
    many = shapley(permutations=1024, within=0).select(POOL).signals["error"].to_numpy()
    assert many.mean() == pytest.approx(few.mean() / 4, rel=0.15)


def test_another_seed_is_another_draw():
    first, second = (shapley(permutations=32, seed=seed).select(POOL).scores for seed in (0, 1))
    assert (first != second).any()


@pytest.mark.parametrize(
    ("wrong", "mend"),
    [
        ({"semivalue": "betta"}, "did you mean 'beta'"),
        ({"stop": "nose"}, "did you mean 'noise'"),
        ({"learner": "logit"}, "did you mean 'logistic'"),
        ({"alpha": 0}, "give both above 0"),
        ({"permutations": 0}, "give at least 1"),
        ({"dimensions": 0}, "give at least 1"),
        ({"ridge": 0}, "give one above 0"),
        ({"truncation": 1}, "from 0 to below 1"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, mend):
    with pytest.raises(SettingError, match=f"DataShapley: .*{mend}"):
        shapley(**wrong)
