import json

import pytest
from offline import ran

import tamis
from tamis.cli.account import run_facts, show_run
from tamis.errors import RunError
from tamis.pipelines.diff import diff
from tamis.pipelines.explain import explain
from tamis.pipelines.runs import find
from tamis.pipelines.tidy import tidy
from tamis.report.of_run import write_run_report

RECIPE = "name: small\npool: {}\nsteps:\n  - clean\n  - deduplicate\n  - random: {{k: 4}}\n"


@pytest.fixture
def pool(tmp_path):
    return tmp_path / "pool.jsonl"


def write(pool, *outputs):
    rows = [{"instruction": f"say {text}", "output": f"it is {text}, no more"} for text in outputs]
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows))


def prompts(table):
    return dict(zip(table["prompt"].to_pylist(), table["reason"].to_pylist(), strict=True))


def test_says_which_rows_came_and_left_and_why(pool):
    write(pool, "one", "two", "three", "four")
    before = ran(RECIPE.format(pool))
    write(pool, "two", "three", "four", "five", "five")
    after = ran(RECIPE.format(pool))
    found = diff(before, after)
    assert prompts(found.came) == {"say five": "new in the pool"}
    assert prompts(found.left) == {"say one": "no longer in the pool"}
    assert (found.stayed, found.pool_came, found.pool_left) == (3, 1, 1)
    assert found.counts() == {"came": {"new in the pool": 1}, "left": {"no longer in the pool": 1}}


def test_a_row_that_lost_its_place_is_told_the_reason_of_the_later_run(pool):
    write(pool, *"abcdef")
    before = ran(RECIPE.format(pool))
    after = ran(RECIPE.format(pool).replace("k: 4", "k: 2"))
    found = diff(before, after)
    assert len(found.came) == 0
    assert set(prompts(found.left).values()) == {"not drawn"}
    back = diff(after, before)
    assert prompts(back.came) == prompts(found.left)


def test_a_run_differs_in_nothing_from_itself(pool):
    write(pool, *"abcdef")
    run = ran(RECIPE.format(pool))
    found = diff(run, run)
    assert (len(found.came), len(found.left), found.stayed) == (0, 0, 4)
    assert found.came.column_names == ["example_id", "reason", "prompt", "response", "text"]


def test_what_was_tidied_away_cannot_be_compared(pool):
    write(pool, *"abcdef")
    first, second = ran(RECIPE.format(pool)), ran(RECIPE.format(pool).replace("k: 4", "k: 2"))
    tidy(1)
    with pytest.raises(RunError, match=f"{first.id}: its pool and steps were tidied away"):
        diff(find(first.id), find(second.id))


@pytest.mark.parametrize("same_pool", [True, False])
def test_what_was_tidied_away_is_said_to_be_and_what_came_out_is_there(pool, same_pool, capsys):
    write(pool, *"abcdef")
    first = ran(RECIPE.format(pool))
    write_run_report(first)
    if not same_pool:
        write(pool, *"abcdefg")
    ran(RECIPE.format(pool).replace("k: 4", "k: 2"))
    example_id = find(first.id).dataset[0]["tamis_id"]
    assert not find(first.id).tidied
    tidy(1)
    run = find(first.id)
    assert run.tidied
    ask = [lambda: run.selection, lambda: run.pool, lambda: explain(run, example_id[:8])]
    for question in [*ask, lambda: write_run_report(run)]:
        with pytest.raises(RunError, match=f"{run.id}: .* tidied away; .* tamis run .*recipe.yaml"):
            question()
    assert len(run.dataset) == 4
    assert run.report.exists()
    assert run_facts(run)["rejected"] is None
    show_run(run, as_json=False)
    assert "tidied away; what it kept is there" in capsys.readouterr().out


def test_tidying_keeps_what_the_newest_runs_need(pool):
    made = []
    for night in range(4):
        write(pool, *"abcdefghij"[: 6 + night])
        made.append(ran(RECIPE.format(pool)))
    would = tidy(2, dry_run=True)
    assert set(would.runs) == {run.id for run in made[:2]}
    done = tidy(2)
    assert done == would
    assert done.bytes > 0
    for run in made[2:]:
        assert len(find(run.id).selection.reasons) == len(run.pool)
    for run in made[:2]:
        assert len(find(run.id).dataset) == 4  # the curated set stays
        assert find(run.id).outcomes
    listed = tamis.catalog().sql("SELECT DISTINCT run_id FROM selections ORDER BY 1").fetchall()
    assert [run_id for (run_id,) in listed] == sorted(run.id for run in made[2:])
    assert tidy(2).steps == 0
    again = ran(RECIPE.format(pool))
    assert all(outcome.reused for outcome in again.outcomes)
