"""Deployments on a real Prefect server, with its scheduler, that the tests start."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Scheduled
from scheduling import eventually, flow_runs, free_port, in_state, start_now

from tamis.data.catalog import catalog
from tamis.errors import RecipeError, SettingError
from tamis.flows.deploy import deploy
from tamis.pipelines import runs
from tamis.pipelines.recipe import Recipe

pytestmark = pytest.mark.timeout(3600)
ROOT = Path(__file__).parents[2]
RECIPE = "name: small\npool: pool.jsonl\nsteps:\n  - clean\n  - random: {k: 5}\n"


def recipe(text=RECIPE, **given):
    return Recipe.parse(text, "small.yaml", **given)


@pytest.mark.usefixtures("scheduler", "folder")
def test_a_scheduled_run_starts_by_itself_and_is_seen_on_both_sides(serving):
    deployed = deploy(recipe(), cron="* * * * *", work_pool="by-itself")
    assert deployed.name == "curate/small"
    serving("by-itself")
    (done, *_) = eventually(lambda: in_state(deployed, "Completed"), "a run that nobody started")
    assert done.auto_scheduled
    # It is named as in the catalogue, which lies where `deploy` was called.
    assert done.name in [run.id for run in runs.runs()]
    assert runs.find(done.name).status == "done"
    assert len(runs.find(done.name).dataset) == 5
    assert ("small", "done") in catalog().sql("SELECT recipe, status FROM runs").fetchall()
    with get_client(sync_client=True) as client:
        client.pause_deployment(deployed.id)


@pytest.mark.usefixtures("scheduler", "folder")
def test_prefect_s_page_shows_the_steps_and_the_way_to_the_report(serving):
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    deployed = deploy(recipe(), work_pool="shown")
    serving("shown")
    started = start_now(deployed)
    (done,) = eventually(lambda: in_state(deployed, "Completed"), "the run")
    with get_client(sync_client=True) as client:
        of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[started.id]))
        found = client.read_artifacts(artifact_filter=of_run)
    shown = {artifact.key: artifact for artifact in found}
    steps = json.loads(shown["tamis-steps"].data)
    assert [(step["step"], step["rows"], step["kept"]) for step in steps] == [
        ("1 clean", 20, 20), ("2 random", 20, 5),
    ]  # fmt: skip
    assert f"{done.name}/report.html" in shown["tamis-report"].data


@pytest.mark.usefixtures("scheduler", "folder")
def test_a_cancelled_run_is_called_so_and_goes_on_when_tried_again(serving, tmp_path):
    rows = [{"instruction": f"say {n}", "output": f"the number {n}"} for n in range(300_000)]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    slow = RECIPE.replace("- clean", "- clean\n  - deduplicate: {near: 0.8}")
    deployed = deploy(recipe(slow), work_pool="cancelled")
    serving("cancelled")
    started = start_now(deployed)
    (begun,) = eventually(
        lambda: [run for run in runs.runs() if run.record.pool is not None], "the pool to be read"
    )
    with get_client(sync_client=True) as client:
        from prefect.states import Cancelling

        client.set_flow_run_state(started.id, Cancelling())
    eventually(lambda: in_state(deployed, "Cancelled"), "the end of the cancelled run")
    assert runs.find(begun.id).status in {"cancelled", "interrupted"}
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(started.id, Scheduled(), force=True)  # its page's Retry
    eventually(lambda: in_state(deployed, "Completed"), "the second try")
    (only,) = runs.runs()  # the same run went on
    assert only.id == begun.id
    assert only.status == "done"
    assert len(only.dataset) == 5


@pytest.mark.usefixtures("scheduler", "folder")
def test_a_wrong_parameter_is_refused_by_the_server():
    deployed = deploy(recipe(), work_pool="refused")
    for wrong in (
        {"name": "x", "pool": "p", "steps": [{"method": "dsri"}]},
        {"name": "x", "pool": "p", "steps": [{"method": "clean"}], "sede": 1},
        {"pool": "p", "steps": [{"method": "clean"}]},
        {"name": "x", "steps": [{"method": "clean", "k": "many"}]},
    ):
        with pytest.raises(PrefectHTTPStatusError, match=r"409|422"):
            start_now(deployed, recipe=wrong)
    assert flow_runs(deployed) == []


@pytest.mark.usefixtures("scheduler", "folder")
def test_a_recipe_that_cannot_run_is_not_deployed():
    with pytest.raises(RecipeError, match="line 5: random needs a k"):
        deploy(recipe(RECIPE.replace(": {k: 5}", "")))
    with pytest.raises(SettingError, match="small: no pool"):
        deploy(recipe(RECIPE.replace("pool: pool.jsonl\n", "")))


@pytest.mark.usefixtures("scheduler", "folder")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cron": "every night"}, "--cron 'every night' --timezone UTC: .*; such as '0 3"),
        ({"cron": "0 3 * * *", "timezone": "Mars"}, "--timezone Mars: .*; such as"),
        ({"work_pool": "p", "kind": "dokcer"}, "work pool p of type dokcer"),
    ],
)
def test_a_schedule_or_a_pool_that_cannot_be_is_one_line(given, message):
    with pytest.raises(SettingError, match=message) as raised:
        deploy(recipe(), **given)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("scheduler", "folder")
def test_a_step_with_a_model_waits_for_a_card(serving):
    from prefect.concurrency.sync import concurrency

    from tamis.flows.curate import CARDS

    with_model = RECIPE.replace("random: {k: 5}", "kcenter: {k: 5}")
    deployed = deploy(recipe(with_model), work_pool="cards", cards=1)
    serving("cards")
    with concurrency(CARDS):
        start_now(deployed)
        steps = runs.home() / "steps"
        eventually(lambda: len(list(steps.glob("*.parquet"))) == 1, "the step without a model")
        time.sleep(3)
        assert len(list(steps.glob("*.parquet"))) == 1
        assert in_state(deployed, "Running")
    eventually(lambda: in_state(deployed, "Completed"), "the card's turn")
    assert len(list(steps.glob("*.parquet"))) == 2


@pytest.mark.usefixtures("scheduler")
def test_the_deployments_in_prefect_yaml_are_taken(scheduler, tmp_path):
    import yaml

    (written,) = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    wanted = written["parameters"]["recipe"]
    loaded = Recipe.parse(Recipe.model_validate(wanted).as_yaml(), "prefect.yaml")
    assert (ROOT / loaded.pool).is_file()
    environment = {**os.environ, "PREFECT_API_URL": scheduler, "HOME": str(tmp_path)}
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    create = [*prefect, "work-pool", "create", "tamis", "--type", "process"]
    subprocess.run(create, env=environment, check=True, capture_output=True)
    done = subprocess.run(
        [*prefect, "deploy", "--all"], env=environment, cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    with get_client(sync_client=True) as client:
        there = client.read_deployment_by_name("curate/nightly")
    assert there.schedules[0].schedule.cron == "0 3 * * *"
    assert there.parameters["recipe"] == wanted


def test_serve_starts_a_server_of_its_own_where_there_is_none(folder):
    port = free_port()
    environment = {
        **os.environ, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": "",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }  # fmt: skip
    environment.pop("PREFECT_API_URL")
    command = [sys.executable, "-m", "tamis.cli", "serve", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        serving = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}/api"

        def works():
            assert serving.poll() is None, (folder / "log").read_text()
            try:
                found = httpx.get(f"{address}/work_pools/tamis").json()
            except (httpx.HTTPError, ValueError):
                return False
            return found.get("type") == "process"

        eventually(works, "a work pool on a server of its own")
    finally:
        serving.send_signal(signal.SIGINT)
        serving.wait(60)
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{address}/health", timeout=5)
