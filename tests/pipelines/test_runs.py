"""What a run is recorded to have cost."""

import pytest

from tamis.models.account import spend
from tamis.pipelines import runs
from tamis.pipelines.recipe import Recipe

RECIPE = Recipe.parse("name: a\npool: p.jsonl\nsteps: [clean]\n", "recipe")
RUN = "20260101-000000-a-0001"


def tried(*spent, fails=False):
    with runs.recorded(RECIPE, RUN) as run:
        for tokens, money in spent:
            spend(tokens, money)
        if fails:
            raise RuntimeError("the server is gone")
        runs.write_outcomes(run, [])
    return runs.find(RUN).cost


def test_what_models_did_is_in_the_cost():
    assert tried((70, 0.5), (30, 0.0)) == {"seconds": 0, "rows": 0, "tokens": 100, "money": 0.5}


def test_a_try_that_failed_is_paid_too():
    with pytest.raises(RuntimeError):
        tried((1_000, 2.0), fails=True)
    assert runs.find(RUN).status == "failed"
    assert runs.find(RUN).cost == {"tokens": 1_000, "money": 2.0}
    cost = tried((10, 0.25))
    assert (cost["tokens"], cost["money"]) == (1_010, 2.25)


def test_money_is_left_out_where_a_server_has_no_prices():
    with pytest.raises(RuntimeError):
        tried((5, None), fails=True)
    assert runs.find(RUN).cost == {"tokens": 5}
    assert "money" not in tried((10, 0.25))
