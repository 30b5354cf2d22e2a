import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset

from tamis.errors import SettingError
from tamis.selectors import Quota, Vote
from tamis.selectors.base import Selector
from tamis.selectors.selection import KEPT, Selection


class InOrder(Selector):
    """Keeps rows in the order that its column says, the lowest first."""

    name = "in-order"

    def __init__(self, column):
        self.column = column

    def __new__(cls, column):
        return super().__new__(cls)

    def _select(self, pool, k):
        indices = np.argsort(pool[self.column][:])[:k]
        reasons = np.full(len(pool), "later", object)
        reasons[indices] = KEPT
        return Selection(indices, -np.array(pool[self.column][:], float), reasons, pa.table({}))


@pytest.fixture
def pool():
    # a: 0 1 2 3 4 5; b: 4 1 5 0 2 3.
    return Dataset.from_dict(
        {"text": list("pqrstu"), "a": [0, 1, 2, 3, 4, 5], "b": [3, 1, 4, 5, 0, 2]}
    )


def test_what_more_methods_pick_comes_first(pool):
    # Each picks 3: a takes 0 1 2, b takes 4 1 5. Row 1 has two votes; 0 and 4 are first of one.
    picked = Vote(methods=[InOrder("a"), InOrder("b")]).select(pool, k=3)
    assert picked.indices[0] == 1
    assert sorted(picked.indices[1:].tolist()) == [0, 4]
    assert picked.signals["votes"].to_pylist() == [1, 2, 1, 0, 1, 1]
    assert picked.scores[1] == 2 + 2 / 4
    assert picked.reasons[3] == "no method picked it"
    assert picked.reasons[2] == "votes: 1 of 2"
    assert picked.signals["in-order#2.rank"].to_pylist() == [None, 2, None, None, 1, 3]


def test_methods_take_turns(pool):
    # a takes 0, b 4, a 1, b 5 (1 is taken).
    picked = Quota(methods=[InOrder("a"), InOrder("b")]).select(pool, k=4)
    assert picked.indices.tolist() == [0, 4, 1, 5]
    assert picked.signals["taken_by"].to_pylist()[:2] == ["in-order", "in-order"]
    assert picked.scores[picked.indices].tolist() == [1, 0.75, 0.5, 0.25]


def test_a_larger_share_takes_more_turns(pool):
    picked = Quota(methods=[InOrder("a"), InOrder("b")], shares=[3, 1]).select(pool, k=4)
    assert picked.signals["taken_by"].to_pylist().count("in-order") == 3


@pytest.mark.parametrize("methods", [["random"], "random", [], ["random", 3]])
def test_methods_must_be_several(methods):
    with pytest.raises(SettingError, match="give"):
        Vote(methods=methods)


@pytest.mark.parametrize("shares", [[1], [1, 0], [1, -1], [1, 1, 1]])
def test_shares_are_one_for_each(shares):
    with pytest.raises(SettingError, match="give one above 0 for each"):
        Quota(methods=["random", "deduplicate"], shares=shares)


def test_methods_are_named_as_in_a_recipe_and_lent_a_target(pool):
    target = Dataset.from_dict({"text": ["p q", "r s"]})
    vote = Vote(methods=["random", {"dsir": {"buckets": 64, "min_tokens": 1}}], target=target)
    assert [method.name for method in vote.asked()] == ["random", "dsir"]
    assert len(vote.select(pool, k=2)) == 2
