"""Recipes that make their pool, as flows on a real Prefect server: generate, then select."""

import json
from pathlib import Path

import pytest

import tamis
from tamis.data.files import home
from tamis.errors import ModelError, RecipeError
from tamis.pipelines import generation
from tamis.pipelines.recipe import Recipe
from tamis.prompting.generation.base import Generator
from tests.prompting.generation.players import Player
from tests.prompting.generation.test_self_instruct import SEEDS, play

RECIPE = """\
name: new-tasks
generate:
  self-instruct: {n: 12, requests: 2}
steps:
  - deduplicate: {near: 0.95}
  - random: {k: 5}
"""


@pytest.fixture
def model(monkeypatch):
    """The model of every recipe: a player, whatever its name."""
    player = Player(play)
    monkeypatch.setattr("tamis.prompting.generation.base.load_lm", lambda name: player)
    return player


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "new.yaml"
    path.write_text(RECIPE)
    return path


@pytest.mark.usefixtures("server")
def test_what_is_generated_is_chosen_from(model, recipe):
    done = tamis.run(recipe, pool=SEEDS)
    assert done.status == "done"
    assert len(done.dataset) == 5
    assert done.outcomes[0].rows == len(done.pool)
    people = {row["instruction"] for row in SEEDS}
    assert not people & set(done.pool["instruction"])
    assert {"seeds", "request", "model"} <= set(done.dataset.column_names)
    told = generation.account(done)
    assert told["tasks"] == 12
    assert told["refused"]["too few words"] > 0
    refused = tamis.load(Path(told["folder"]) / "refused.parquet")
    assert len(refused) == sum(told["refused"].values())


@pytest.mark.usefixtures("server")
def test_a_second_run_generates_nothing_again(model, recipe):
    tamis.run(recipe, pool=SEEDS)
    asked = len(model.asked)
    second = tamis.run(recipe, pool=SEEDS)
    assert len(model.asked) == asked
    assert [step.reused for step in second.outcomes] == [True, True]


@pytest.mark.usefixtures("server")
def test_a_run_killed_while_it_generates_goes_on(model, recipe):
    model.dies_after = 6
    with pytest.raises(BaseException):  # noqa: B017, PT011 - Prefect's own, for an interrupt
        tamis.run(recipe, pool=SEEDS)
    (first,) = (home() / "generated").iterdir()
    rounds = sorted(path.name for path in first.glob("round-*.json"))
    assert rounds == ["round-00001.json"]
    model.dies_after = None
    run_id = next((home() / "runs").iterdir()).name
    done = tamis.run("", resume=run_id)
    assert done.status == "done"
    assert generation.account(done)["tasks"] == 12


@pytest.mark.usefixtures("server")
def test_a_setting_of_the_call_reaches_the_generator(model, recipe):
    done = tamis.run(recipe, pool=SEEDS, settings={"self-instruct.n": 6, "random.k": 2})
    assert generation.account(done)["tasks"] == 6


@pytest.mark.usefixtures("server")
def test_a_model_that_says_nothing_fails_the_run_in_a_line(model, recipe):
    model.script = lambda prompt, how: ""
    with pytest.raises(ModelError, match="SelfInstruct: no task in 20 rounds"):
        tamis.run(recipe, pool=SEEDS)


MISTAKES = {
    "an unknown generator": (
        "generate: tegti",
        "line 2: no generator 'tegti'; did you mean 'tegit'",
    ),
    "an unknown setting": (
        "generate:\n  tegit: {words: 3}",
        "line 3: tegit has no setting 'words'; did you mean 'passage_words'",
    ),
    "a wrong kind": (
        "generate:\n  self-instruct: {n: many}",
        "line 3: self-instruct: n is 'many'; input should be a valid integer",
    ),
    "a k": ("generate:\n  tegit: {k: 3}", "line 2: a generator has no k; say n, how many to make"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_line(text, message):
    with pytest.raises(RecipeError) as raised:
        Recipe.parse(f"name: a\n{text}\nsteps: [clean]\n", "a.yaml")
    assert message in str(raised.value)


def test_a_setting_out_of_range_is_named_with_its_line():
    recipe = Recipe.parse("name: a\ngenerate:\n  tegit: {requests: 0}\nsteps: [clean]\n", "a.yaml")
    with pytest.raises(RecipeError, match=r"line 2: TeGit: requests=0; give at least 1"):
        recipe.generator()


def test_a_recipe_lends_its_model_seed_and_target():
    recipe = Recipe.parse(
        "name: a\nseed: 4\ntarget: t.jsonl\nmodels: {lm: 'openai:x'}\ngenerate: few-shot\n"
        "steps: [clean]\n",
        "a.yaml",
    )
    made, call = recipe.generator()
    assert isinstance(made, Generator)
    assert (made.lm, made.seed, made.target, call) == ("openai:x", 4, "t.jsonl", {})


def test_what_is_written_loads_to_an_equal_recipe():
    recipe = Recipe.parse(RECIPE, "new.yaml")
    again = Recipe.parse(recipe.as_yaml(), "again.yaml")
    assert again == recipe
    assert json.loads(recipe.model_dump_json())["generate"]["method"] == "self-instruct"


@pytest.mark.parametrize("name", ["self-instruct", "tegit", "few-shot", "induce"])
def test_a_shipped_recipe_makes_rates_and_selects(name):
    recipe = Recipe.load(name, target="solved.jsonl")
    made, _ = recipe.generator()
    assert made.name == name
    assert [selector.name for selector in recipe.selectors()] == [
        "clean", "deduplicate", "alpagasus", "kcenter",
    ]  # fmt: skip
