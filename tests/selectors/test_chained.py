import numpy as np
import pytest
from datasets import Dataset

from tamis.errors import BudgetError
from tamis.selectors import Deduplicate, Random, chain
from tamis.selectors.chained import joined


@pytest.fixture
def pool():
    return Dataset.from_dict({"text": ["to be", "or not", "to be", "that is", "the question"]})


def test_each_step_sees_what_the_last_one_kept(pool):
    picked = chain(Deduplicate(), Random(seed=0)).select(pool, 4)
    dropped = picked.reasons[picked.reasons != "kept"]
    assert len(dropped) == 1
    assert dropped[0].startswith("exact duplicate of")


def test_the_score_is_that_of_the_last_step_reached(pool):
    picked = chain((Random(seed=0), 3), Random(seed=1)).select(pool, 1)
    first = Random(seed=0).select(pool, 3)
    out = np.setdiff1d(np.arange(5), first.indices)
    assert picked.scores[out].tolist() == first.scores[out].tolist()
    second = Random(seed=1).select(pool.select(np.sort(first.indices)), 1)
    assert picked.scores[np.sort(first.indices)].tolist() == second.scores.tolist()


def test_signals_are_null_where_a_row_did_not_get_so_far(pool):
    picked = chain((Random(seed=0), 3), Random(seed=1)).select(pool, 1)
    assert picked.signals.column_names == ["random.draw", "random.draw#2"]
    assert picked.signals["random.draw"].null_count == 0
    assert picked.signals["random.draw#2"].null_count == 2


def test_the_kept_are_said_to_be_chosen_by_the_last_step_in_the_time_of_all(pool):
    first = Deduplicate().select(pool)
    second = Random(seed=0).select(pool.select(np.sort(first.indices)), 2)
    both = joined([first, second])
    assert both.apply(pool)["tamis_method"][:] == ["random", "random"]
    assert both.seconds == first.seconds + second.seconds > 0


def test_k_is_for_the_last_step(pool):
    assert len(chain((Random(seed=0), 4), Random(seed=1)).select(pool, 2)) == 2


def test_a_step_that_needs_a_k_must_have_one(pool):
    with pytest.raises(BudgetError, match="Random: k is missing"):
        chain(Random(seed=0), Random(seed=1)).select(pool, 2)
    with pytest.raises(BudgetError, match="Chain: k is missing"):
        chain(Deduplicate(), Random(seed=1)).select(pool)


def test_a_last_step_with_its_own_k_needs_none(pool):
    assert len(chain(Deduplicate(), (Random(seed=1), 2)).select(pool)) == 2


def test_prints_as_its_call():
    steps = chain(Deduplicate(near=0.8), (Random(seed=2), 0.5))
    assert repr(steps) == "chain(Deduplicate(near=0.8), (Random(seed=2), 0.5))"
