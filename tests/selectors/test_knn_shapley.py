import numpy as np
import pytest
from datasets import Dataset
from doubles import Numbers, pool_at

from tamis.errors import DataError, SettingError
from tamis.selectors.knn_shapley import KNNShapley


def shapley(target, **settings):
    return KNNShapley(target=target, embedder=Numbers(), **settings)


# METHODS: labels by distance 1, 0, 1, 1, answer 1, K = 2 -> 0.25, -0.25, 0.25, 0.25.
POOL = pool_at([1], [2], [3], [4], label=["yes", "no", "yes", "yes"])
TARGET = pool_at([0], label=["yes"])


def test_the_worked_example():
    picked = shapley(TARGET, neighbours=2).select(POOL, 3)
    assert picked.scores.tolist() == [0.25, -0.25, 0.25, 0.25]
    assert sorted(picked.indices.tolist()) == [0, 2, 3]
    assert picked.reasons[1] == "worth less than the kept"


def test_without_k_what_does_harm_is_dropped():
    assert sorted(shapley(TARGET, neighbours=2).select(POOL).indices.tolist()) == [0, 2, 3]


def test_without_k_what_does_nothing_is_kept():
    # All four vote, so the three that are wrong change nothing; their sums miss 0 by rounding.
    pool = pool_at([1], [2], [3], [4], label=["no", "no", "no", "yes"])
    picked = shapley(TARGET, neighbours=5).select(pool)
    assert picked.scores.tolist() == pytest.approx([0, 0, 0, 0.2], abs=1e-15)
    assert picked.scores.min() < 0
    assert len(picked) == 4


def test_the_error_needs_two_target_examples():
    target = pool_at([0], [9], label=["yes", "yes"])
    assert np.isnan(shapley(TARGET).select(POOL).signals["error"].to_numpy()).all()
    assert (shapley(target, neighbours=2).select(POOL).signals["error"].to_numpy() > 0).any()


def test_copies_whose_labels_differ_do_not_go_by_file_order():
    pool = pool_at([1], [1], [2], label=["yes", "no", "no"])
    turned = pool_at([2], [1], [1], label=["no", "no", "yes"])
    first = shapley(TARGET, neighbours=1).select(pool).scores
    assert shapley(TARGET, neighbours=1).select(turned).scores.tolist() == first[::-1].tolist()


def test_short_responses_are_labels_and_do_not_get_into_the_vectors():
    pool = Dataset.from_dict({"prompt": ["1", "2", "3", "4"], "completion": [7, 8, 7, 7]})
    target = Dataset.from_dict({"prompt": ["0"], "completion": [7]})
    picked = shapley(target, neighbours=2).select(pool)
    assert picked.scores.tolist() == [0.25, -0.25, 0.25, 0.25]


def test_rows_without_label_or_text_have_no_score():
    pool = Dataset.from_dict({"text": ["1", "2", ""], "label": ["yes", None, "yes"]})
    picked = shapley(TARGET).select(pool)
    assert picked.reasons.tolist() == ["kept", "no label", "no embedding"]
    assert np.isnan(picked.scores[1:]).all()


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (["x" * 41, "y"], "responses of up to 41 characters"),
        ([str(n) for n in range(12)], "12 different responses in 12 rows"),
        (["", ""], "no responses"),
    ],
)
def test_responses_that_are_no_labels_are_refused_in_one_line(answers, why):
    pool = Dataset.from_dict({"prompt": ["1"] * len(answers), "completion": answers})
    with pytest.raises(DataError, match=f"KNNShapley: the pool has no column 'label'.*{why}"):
        shapley(TARGET).select(pool)


def test_a_misspelt_label_column_is_named():
    pool = pool_at([1], [2], lable=["a", "b"])
    with pytest.raises(DataError, match="did you mean 'lable'"):
        shapley(TARGET).select(pool)


def test_a_target_without_labels_is_refused():
    with pytest.raises(DataError, match="the target has no example with a label; give some"):
        shapley(pool_at([0], label=[None])).select(POOL)


def test_no_neighbours_are_refused():
    with pytest.raises(SettingError, match="neighbours=0; give at least 1"):
        shapley(TARGET, neighbours=0)
