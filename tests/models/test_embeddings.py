import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets
from doubles import Numbers, pool_at

from tamis.errors import ModelError, SettingError
from tamis.models.embeddings import embeddings

TASKS = Dataset.from_dict({"instruction": ["1 2", "3 4"], "output": ["5", "6"]})


def test_vectors_come_in_the_order_of_the_rows():
    pool = pool_at([3, 4], [1, 2], [5, 6])
    assert embeddings(pool, Numbers()).tolist() == [[3, 4], [1, 2], [5, 6]]
    assert embeddings(pool, Numbers(), np.array([2, 0])).tolist() == [[5, 6], [3, 4]]


def test_a_pool_that_grew_costs_what_is_new():
    model, pool = Numbers(), pool_at([1, 2], [3, 4], [1, 2])
    embeddings(pool, model)
    assert model.asked == 2  # copies are one example
    embeddings(concatenate_datasets([pool, pool_at([5, 6])]), model)
    assert model.asked == 3


def test_a_prompt_is_embedded_without_its_response():
    assert embeddings(TASKS, Numbers(), part="prompt").tolist() == [[1, 2], [3, 4]]
    assert embeddings(TASKS, Numbers()).tolist() == [[1, 2, 5], [3, 4, 6]]


def test_plain_text_is_its_own_prompt():
    assert embeddings(pool_at([1, 2]), Numbers(), part="prompt").tolist() == [[1, 2]]


def test_an_empty_text_has_no_vector():
    vectors = embeddings(Dataset.from_dict({"text": ["1 2", ""]}), Numbers())
    assert np.isnan(vectors).all(axis=1).tolist() == [False, True]


def test_an_unknown_name_is_refused():
    with pytest.raises((SettingError, ModelError), match="no backend 'bundeld'"):
        embeddings(pool_at([1]), "bundeld")
