import numpy as np
import pytest
from datasets import Dataset
from doubles import Numbers, pool_at

from tamis.data.ids import example_ids, id_texts
from tamis.errors import DataError, SettingError
from tamis.selectors.cross_task_knn import CrossTaskKNN

POOL = pool_at([0], [4], [6], [9], [20])
TARGET = pool_at([5.5], [8])


def near(target=TARGET, neighbours=2):
    return CrossTaskKNN(target=target, embedder=Numbers(), neighbours=neighbours)


def test_keeps_the_neighbours_of_every_query_each_once():
    # 5.5 retrieves 6 (0.5 away) and 4 (1.5); 8 retrieves 9 (1) and 6 (2). 6 is twice among them.
    picked = near().select(POOL)
    assert picked.indices.tolist() == [2, 3, 1]
    assert picked.scores.tolist() == pytest.approx([np.nan, 1, 2, 1, np.nan], nan_ok=True)
    assert picked.signals["frequency"].to_pylist() == [0, 1, 2, 1, 0]
    assert picked.reasons[4] == "not among the 2 nearest of any target example"


def test_says_which_query_pulled_a_row_in():
    near_five, near_eight = id_texts(example_ids(TARGET)).to_pylist()
    signals = near().select(POOL).signals
    assert signals["query"].to_pylist() == [None, near_five, near_five, near_eight, None]
    assert signals["distance"].to_pylist() == [None, 1.5, 0.5, 1, None]


def test_with_k_the_most_often_retrieved_come_first_and_then_the_nearest():
    picked = near().select(POOL, 2)
    assert picked.indices.tolist() == [2, 3]
    assert picked.reasons[1] == "retrieved by fewer target examples, or from farther"


def test_never_keeps_what_no_query_retrieved():
    assert len(near().select(POOL, 5)) == 3


def test_every_query_counts():
    # The released code drops up to three at the end. Nine queries, three neighbours each.
    target = pool_at(*[[n] for n in range(9)])
    frequency = near(target, neighbours=3).select(POOL).signals["frequency"]
    assert sum(frequency.to_pylist()) == 27


def test_equal_queries_retrieve_one_neighbourhood():
    assert len(near(pool_at([5], [5], [5]), neighbours=3).select(POOL)) == 3


def test_only_prompts_are_compared():
    pool = Dataset.from_dict({"prompt": ["1", "5"], "completion": ["5", "1"]})
    target = Dataset.from_dict({"prompt": ["5"]})
    assert near(target, neighbours=1).select(pool).indices.tolist() == [1]


def test_a_target_without_text_is_refused():
    with pytest.raises(DataError, match="none of 2 examples has a vector; give some"):
        near(Dataset.from_dict({"text": ["", " "]})).select(POOL)


def test_no_neighbours_are_refused():
    with pytest.raises(SettingError, match="neighbours=0; give at least 1"):
        near(neighbours=0)
