import numpy as np
import pytest
from datasets import Dataset
from doubles import Numbers, pool_at

from tamis.data.ids import example_ids, id_texts
from tamis.errors import DataError
from tamis.selectors.kcenter import KCenter


def test_keeps_the_example_left_farthest():
    # On a line the mean of 0, 4, 6, 9 is 4.75: 4 is nearest, then 9 is 5 away, then 0 is 4 away.
    picked = KCenter(embedder=Numbers()).select(pool_at([0], [4], [6], [9]), k=3)
    assert picked.indices.tolist() == [1, 3, 0]
    assert picked.scores.tolist() == [4, np.inf, 2, 5]
    assert picked.reasons.tolist() == ["kept", "kept", "covered by a kept example", "kept"]


def test_says_which_example_covers_a_dropped_one():
    pool = pool_at([0], [4], [6], [9])
    picked = KCenter(embedder=Numbers()).select(pool, k=3)
    four = id_texts(example_ids(pool))[1].as_py()
    assert picked.signals["covered_by"].to_pylist() == [None, None, four, None]


def test_a_seed_draws_the_first_example_and_only_that():
    pool = pool_at(*[[n, n * n % 7] for n in range(30)])
    firsts = {KCenter(embedder=Numbers(), seed=s).select(pool, 3).indices[0] for s in range(20)}
    assert len(firsts) > 5
    picked = KCenter(embedder=Numbers(), seed=1).select(pool, 30)
    assert (np.diff(picked.scores[picked.indices]) <= 0).all()


def test_more_examples_begin_with_the_same_ones():
    pool = pool_at(*[[n, n * n % 11] for n in range(40)])
    many = KCenter(embedder=Numbers()).select(pool, 30).indices
    assert KCenter(embedder=Numbers()).select(pool, 12).indices.tolist() == many[:12].tolist()


def test_an_example_without_text_is_not_kept():
    pool = Dataset.from_dict({"text": ["1 2", "", "3 4"]})
    picked = KCenter(embedder=Numbers()).select(pool, 3)
    assert sorted(picked.indices.tolist()) == [0, 2]
    assert picked.reasons[1] == "no embedding"
    assert np.isnan(picked.scores[1])


def test_a_pool_without_any_text_is_refused():
    with pytest.raises(DataError, match="none of 2 examples has a vector; give some"):
        KCenter(embedder=Numbers()).select(Dataset.from_dict({"text": ["", "\n"]}), 1)
