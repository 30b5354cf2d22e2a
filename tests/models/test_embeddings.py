import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets
from doubles import Numbers, pool_at

from tamis.data.ids import example_ids
from tamis.errors import DataError, SettingError
from tamis.models.embeddings import points_by_id

TASKS = Dataset.from_dict({"instruction": ["1 2", "3 4"], "output": ["5", "6"]})


def test_vectors_come_in_the_order_of_ids_with_their_rows():
    pool = pool_at([3, 4], [1, 2], [5, 6], [7, 8])
    rows, points = points_by_id(pool, Numbers())
    ids = example_ids(pool)[rows]
    assert ids.tolist() == sorted(ids.tolist())
    assert [" ".join(f"{x:g}" for x in point) for point in points] == pool[rows]["text"]


def test_only_the_rows_asked_for_are_given():
    rows, points = points_by_id(pool_at([1], [2], [3]), Numbers(), np.array([0, 2]))
    assert dict(zip(rows.tolist(), points[:, 0].tolist(), strict=True)) == {0: 1, 2: 3}


def test_copies_keep_the_order_they_are_given_in():
    pool = pool_at([1], [1], [1])
    assert points_by_id(pool, Numbers(), np.array([2, 0, 1]))[0].tolist() == [2, 0, 1]


def test_a_pool_that_grew_costs_what_is_new():
    model, pool = Numbers(), pool_at([1, 2], [3, 4], [1, 2])
    points_by_id(pool, model)
    assert model.asked == 2  # copies are one example
    points_by_id(concatenate_datasets([pool, pool_at([5, 6])]), model)
    assert model.asked == 3


def test_a_prompt_is_embedded_without_its_response():
    prompts = points_by_id(TASKS, Numbers(), part="prompt")[1]
    assert sorted(prompts.tolist()) == [[1, 2], [3, 4]]
    assert sorted(points_by_id(TASKS, Numbers())[1].tolist()) == [[1, 2, 5], [3, 4, 6]]


def test_plain_text_is_its_own_prompt():
    assert points_by_id(pool_at([1, 2]), Numbers(), part="prompt")[1].tolist() == [[1, 2]]


def test_a_row_without_text_is_left_out():
    rows, points = points_by_id(Dataset.from_dict({"text": ["", "1 2"]}), Numbers())
    assert rows.tolist() == [1]
    assert points.tolist() == [[1, 2]]


def test_a_pool_without_text_is_refused():
    with pytest.raises(DataError, match="none of 1 examples has a vector; give some"):
        points_by_id(Dataset.from_dict({"text": [" "]}), Numbers())


def test_an_unknown_name_is_refused():
    with pytest.raises(SettingError, match="no backend 'bundeld'"):
        points_by_id(pool_at([1]), "bundeld")
