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
from prefect.states import Cancelling, Scheduled
from scheduling import ended, eventually, flow_runs, free_port, held, in_state, set_state, start_now

from tamis.data.catalog import catalog
from tamis.errors import RecipeError, SettingError
from tamis.flows.curate import CARDS
from tamis.flows.deploy import deploy
from tamis.pipelines import runs
from tamis.pipelines.recipe import Recipe

pytestmark = pytest.mark.timeout(1800)
ROOT = Path(__file__).parents[2]
RECIPE = "name: small\npool: pool.jsonl\nsteps:\n  - clean\n  - random: {k: 5}\n"


def recipe(name="small", text=RECIPE):
    """Return a recipe; each test deploys one of a name of its own, on the server of all."""
    return Recipe.parse(text.replace("small", name), "small.yaml")


@pytest.mark.usefixtures("scheduler", "worker", "folder")
def test_a_scheduled_run_starts_by_itself_and_is_seen_on_both_sides():
    deployed = deploy(recipe("by-itself"), cron="* * * * *")
    assert deployed.name == "curate/by-itself"
    try:
        (done, *_) = eventually(lambda: in_state(deployed, "Completed"), "a run nobody started")
    finally:  # it would start every minute, beside the tests that follow
        with get_client(sync_client=True) as client:
            client.delete_deployment(deployed.id)
    assert done.auto_scheduled
    # It is named as in the catalogue, which lies where `deploy` was called.
    assert runs.find(done.name).status == "done"
    assert len(runs.find(done.name).dataset) == 5
    assert ("by-itself", "done") in catalog().sql("SELECT recipe, status FROM runs").fetchall()


@pytest.mark.usefixtures("scheduler", "worker", "folder")
def test_prefect_s_page_shows_the_steps_and_the_way_to_the_report():
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    deployed = deploy(recipe("shown"))
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


@pytest.fixture
def one_card(scheduler, folder):
    """A recipe that was deployed with one card; the limit ends with the test, not the server."""
    yield deploy(recipe("cards", RECIPE.replace("random: {k: 5}", "kcenter: {k: 5}")), cards=1)
    with get_client(sync_client=True) as client:
        client.delete_global_concurrency_limit_by_name(CARDS)


@pytest.mark.usefixtures("scheduler", "worker", "folder")
def test_a_step_with_a_model_waits_for_a_card_can_be_cancelled_and_goes_on_when_tried_again(
    one_card,
):
    deployed = one_card
    steps = runs.home() / "steps"
    with held(CARDS):
        started = start_now(deployed)
        eventually(lambda: list(steps.glob("*.parquet")), "the step without a model")
        time.sleep(3)  # were there no limit, the other step would be done by now, or soon
        assert len(list(steps.glob("*.parquet"))) == 1
        assert in_state(deployed, "Running")
        set_state(started, Cancelling())
        eventually(lambda: in_state(deployed, "Cancelled"), "the end of the cancelled run")
        (begun,) = runs.runs()
        assert begun.status in {"cancelled", "interrupted"}
    set_state(started, Scheduled(), force=True)  # its page's Retry
    eventually(lambda: in_state(deployed, "Completed"), "the second try")
    (only,) = runs.runs()  # the same run went on
    assert only.id == begun.id
    assert only.status == "done"
    assert [step.reused for step in only.outcomes] == [True, False]
    assert len(only.dataset) == 5


@pytest.mark.usefixtures("scheduler", "folder")
def test_a_wrong_parameter_is_refused_by_the_server():
    deployed = deploy(recipe("refused"))
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
        deploy(recipe(text=RECIPE.replace(": {k: 5}", "")))
    with pytest.raises(SettingError, match="small: no pool"):
        deploy(recipe(text=RECIPE.replace("pool: pool.jsonl\n", "")))


@pytest.mark.usefixtures("scheduler", "folder")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cron": "every night"}, "--cron 'every night' --timezone UTC: .*; such as '0 3"),
        ({"cron": "0 3 * * *", "timezone": "Mars"}, "--timezone Mars: .*; such as"),
        (
            {"work_pool": "p", "kind": "dokcer"},
            "type dokcer: no such type; did you mean 'docker'",
        ),
    ],
)
def test_a_schedule_or_a_pool_that_cannot_be_is_one_line(given, message):
    with pytest.raises(SettingError, match=message) as raised:
        deploy(recipe(), **given)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("scheduler")
def test_the_deployments_in_prefect_yaml_are_taken(scheduler, tmp_path):
    import yaml

    (written,) = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    wanted = written["parameters"]["recipe"]
    loaded = Recipe.parse(Recipe.model_validate(wanted).as_yaml(), "prefect.yaml")
    assert (ROOT / loaded.pool).is_file()
    environment = {**os.environ, "PREFECT_API_URL": scheduler, "HOME": str(tmp_path)}
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    create = [*prefect, "work-pool", "create", "tamis", "--type", "process", "--overwrite"]
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


def _in_the_background():
    """Do what a shell does to a script's `tamis serve &`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_serve_starts_a_server_of_its_own_where_there_is_none_and_ends_it(folder):
    port = free_port()
    environment = {
        **os.environ, "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }  # fmt: skip
    environment.pop("PREFECT_API_URL", None)
    command = [sys.executable, "-m", "tamis.cli", "serve", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        serving = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, preexec_fn=_in_the_background
        )
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
        ended(serving)  # by SIGTERM, as systemd does it
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{address}/health", timeout=5)
