"""The whole main job, on a real Prefect server that the tests start."""

import json

import numpy as np
import pytest

import tamis
from tamis.data.files import home
from tamis.errors import BudgetError, DataError, RecipeError, RunError
from tamis.pipelines import runs

RECIPE = """\
name: small
steps:
  - clean
  - deduplicate: {near: 0.8}
  - dsir: {k: 20, buckets: 512, min_tokens: 1}
"""
pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def paths(tmp_path):
    draw = np.random.default_rng(0)
    words = "how make find name write list the a of red blue moon star sea bread".split()  # noqa: SIM905

    def rows(count):
        return [
            {
                "instruction": " ".join(draw.choice(words, 9)),
                "output": " ".join(draw.choice(words, 14)),
                "source": str(draw.choice(["a", "b"])),
            }
            for _ in range(count)
        ]

    pool = rows(80)
    pool += [dict(pool[0]), {**pool[1], "output": pool[1]["output"] + " sea"}]
    pool.append({"instruction": "", "output": "", "source": "a"})
    written = {"pool": tmp_path / "pool.jsonl", "target": tmp_path / "target.jsonl"}
    written["pool"].write_text("".join(json.dumps(row) + "\n" for row in pool) + "{broken\n")
    written["target"].write_text("".join(json.dumps(row) + "\n" for row in rows(8)))
    written["recipe"] = tmp_path / "small.yaml"
    written["recipe"].write_text(RECIPE)
    return written


def run(paths, **given):
    return tamis.run(paths["recipe"], pool=paths["pool"], target=paths["target"], **given)


def test_a_pool_goes_in_and_every_row_is_accounted_for(paths):
    done = run(paths)
    assert done.status == "done"
    assert [step.method for step in done.outcomes] == ["clean", "deduplicate", "dsir"]
    assert [step.rows for step in done.outcomes] == [83, 82, done.outcomes[1].kept]
    assert done.outcomes[-1].kept == len(done.dataset) == 20
    assert len(done.selection.reasons) == 83
    assert (done.selection.reasons == "kept").sum() == 20
    assert done.rejected["line"][:] == [84]
    assert "<html" in done.report.read_text(encoding="utf-8")


def test_the_catalogue_says_the_same(paths):
    done = run(paths)
    catalogue = tamis.catalog()
    assert catalogue.sql("SELECT run_id, status FROM runs").fetchall() == [(done.id, "done")]
    kept = catalogue.sql("SELECT example_id FROM curated ORDER BY rank").fetchall()
    assert [row[0] for row in kept] == done.dataset["tamis_id"][:]
    seen = catalogue.sql("SELECT step, count(*) FROM selections GROUP BY ALL ORDER BY 1").fetchall()
    assert [count for _, count in seen] == [step.rows for step in done.outcomes]


def test_a_second_run_does_no_step_again(paths):
    first = run(paths)
    second = run(paths)
    assert second.id != first.id
    assert [step.reused for step in first.outcomes] == [False] * 3
    assert [step.reused for step in second.outcomes] == [True] * 3
    assert second.dataset["tamis_id"][:] == first.dataset["tamis_id"][:]


def test_prefect_shows_a_step_done_before_as_cached(paths):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

    run(paths)
    second = run(paths)
    with get_client(sync_client=True) as client:
        named = FlowRunFilter(name=FlowRunFilterName(any_=[second.id]))
        tasks = client.read_task_runs(flow_run_filter=named)
    states = {task.name: task.state.name for task in tasks}
    assert {states[name] for name in states if name.startswith("step")} == {"Cached"}


def test_only_the_step_that_changed_and_those_after_it_run_again(paths):
    run(paths)
    changed = run(paths, settings={"deduplicate.near": 0.5})
    assert [step.reused for step in changed.outcomes] == [True, False, False]


def test_a_pool_that_changed_is_chosen_from_again(paths):
    run(paths)
    with paths["pool"].open("a") as pool:
        pool.write(json.dumps({"instruction": "name a red star", "output": "Antares"}) + "\n")
    assert [step.reused for step in run(paths).outcomes] == [False] * 3


def test_a_target_that_changed_is_looked_at_again(paths):
    run(paths)
    with paths["target"].open("a") as target:
        target.write(json.dumps({"instruction": "name a red star", "output": "Antares"}) + "\n")
    assert [step.reused for step in run(paths).outcomes] == [True, True, False]


def test_a_result_whose_file_is_gone_is_not_believed(paths):
    run(paths)
    for path in (home() / "steps").glob("*.parquet"):
        path.unlink()
    again = run(paths)
    assert [step.reused for step in again.outcomes] == [False] * 3
    assert len(again.dataset) == 20


def test_rows_in_memory_are_a_pool_too(paths):
    rows = tamis.load(paths["pool"]).to_list()
    assert (
        run(paths).dataset["tamis_id"][:]
        == (tamis.run(paths["recipe"], pool=rows, target=paths["target"]).dataset["tamis_id"][:])
    )


def test_a_failed_step_is_recorded_and_named(paths):
    with pytest.raises(BudgetError, match=r"step 3, DSIR: k=5000, but the pool has \d+"):
        run(paths, k=5000)
    (failed,) = runs.runs()
    assert failed.status == "failed"
    assert "k=5000" in failed.record.error
    assert failed.outcomes == []


def test_a_failed_run_goes_on_where_it_stopped(paths):
    with pytest.raises(BudgetError):
        run(paths, k=5000)
    (failed,) = runs.runs()
    paths["recipe"].write_text(RECIPE)
    done = run(paths)
    assert [step.reused for step in done.outcomes] == [True, True, False]
    assert failed.id != done.id


def test_a_recipe_without_a_pool_says_so_before_anything_runs(paths):
    with pytest.raises(RecipeError, match="no pool; add `pool: FILE`"):
        tamis.run(paths["recipe"], target=paths["target"])
    assert runs.runs() == []


def test_a_bad_recipe_stops_before_anything_runs(paths):
    paths["recipe"].write_text(RECIPE.replace("clean", "claen"))
    with pytest.raises(RecipeError, match=r"line 3: no method 'claen'; did you mean 'clean'\?"):
        run(paths)
    assert runs.runs() == []


def test_strict_makes_a_bad_row_an_error(paths):
    paths["recipe"].write_text(RECIPE + "strict: true\n")
    with pytest.raises(DataError, match=r"pool.jsonl, line 84: not JSON"):
        run(paths)


def test_a_server_out_of_reach_is_one_line(paths):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings(updates={PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(RunError, match="does not answer") as raised,
    ):
        run(paths)
    assert "\n" not in str(raised.value)
    assert runs.runs() == []
