import pytest

from tamis.errors import RecipeError
from tamis.pipelines.recipe import Recipe, shipped
from tamis.selectors import DSIR, Deduplicate, Random

GOOD = """\
name: mine
pool: pool.jsonl
target: wanted.jsonl
seed: 3
steps:
  - clean
  - deduplicate: {near: 0.9}
  - random:
      k: 10
export: [out/mine.parquet]
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_recipe_becomes_selectors_with_its_seed(written):
    recipe = Recipe.load(written(GOOD))
    _, deduplicate, random = recipe.selectors()
    assert [step.method for step in recipe.steps] == ["clean", "deduplicate", "random"]
    assert deduplicate == Deduplicate(near=0.9)
    assert random == Random(seed=3)
    assert recipe.steps[2].k == 10


def test_a_step_own_seed_comes_before_the_recipe_s(written):
    recipe = Recipe.load(written("name: a\nseed: 3\nsteps:\n  - random: {k: 1, seed: 8}\n"))
    assert recipe.selectors() == [Random(seed=8)]


def test_the_target_is_lent_to_the_step_that_needs_one(written):
    recipe = Recipe.load(written("name: a\ntarget: t.jsonl\nsteps:\n  - dsir: {k: 1}\n"))
    assert recipe.selectors()[0] == DSIR(target="t.jsonl", seed=0)


def test_what_is_written_loads_to_an_equal_recipe(written):
    recipe = Recipe.load(written(GOOD))
    assert Recipe.load(written(recipe.as_yaml())) == recipe


def test_what_a_call_gives_comes_before_the_recipe(written):
    recipe = Recipe.load(
        written(GOOD), k=0.5, pool="other.parquet", settings={"deduplicate.near": 0.7, "seed": 9}
    )
    assert recipe.pool == "other.parquet"
    assert recipe.seed == 9
    assert recipe.steps[1].settings == {"near": 0.7}
    assert recipe.steps[2].k == 0.5


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_recipe_is_sound(name):
    Recipe.load(name, target="wanted.jsonl").selectors()


MISTAKES = {
    "an unknown method": (
        "name: a\nsteps:\n  - clean\n  - dsri: {k: 5}\n",
        "line 4: no method 'dsri'; did you mean 'dsir'?",
    ),
    "an unknown key": (
        "name: a\npol: x\nsteps: [clean]\n",
        "line 2: no key 'pol'; did you mean 'pool'?",
    ),
    "an unknown setting": (
        "name: a\nsteps:\n  - deduplicate:\n      nearr: 0.8\n",
        "line 4: deduplicate has no setting 'nearr'; did you mean 'near'?",
    ),
    "an unknown model": (
        "name: a\nmodels: {embeder: b}\nsteps: [clean]\n",
        "line 2: no key 'models.embeder'; did you mean 'embedder'?",
    ),
    "a value of the wrong kind": (
        "name: a\nseed: many\nsteps: [clean]\n",
        "line 2: seed is 'many'; input should be a valid integer",
    ),
    "a setting of the wrong kind": (
        "name: a\nsteps:\n  - deduplicate: {near: close}\n",
        "line 3: deduplicate: near is 'close'; input should be a valid number",
    ),
    "a missing space": (
        "name: a\nsteps:\n  - deduplicate:near\n",
        "line 3: no method 'deduplicate:near'",
    ),
    "settings that are no pairs": (
        "name: a\nsteps:\n  - deduplicate: near:0.8\n",
        "line 3: the settings of deduplicate are not `setting: value` pairs",
    ),
    "no steps": ("name: a\n", "steps must be a list of methods"),
    "no name": ("steps: [clean]\n", "'name' is missing; add `name: …`"),
    "no YAML": ("name: [a\nsteps: b\n", "line 2: not YAML"),
    "a list": ("- clean\n", "line 1: a recipe is `key: value` lines"),
    "nothing": ("", "line 1: a recipe is `key: value` lines"),
    "a key twice": ("name: a\nname: b\nsteps: [clean]\n", "line 2: 'name' stands twice"),
    "no k": ("name: a\nsteps:\n  - random\n", "line 3: random needs a k"),
    "no target": ("name: a\nsteps:\n  - dsir: {k: 5}\n", "line 3: dsir needs a target"),
    "a k that is no number": (
        "name: a\nsteps:\n  - random: {k: lots}\n",
        "line 3: k is 'lots'; give a number",
    ),
    "an object from a tag": (
        "name: !!python/object/apply:os.getcwd []\nsteps: [clean]\n",
        "not YAML",
    ),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_line(written, text, message):
    path = written(text)
    with pytest.raises(RecipeError) as raised:
        Recipe.load(path).selectors()
    assert str(raised.value).startswith(str(path))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_names_the_nearest_shipped_recipe():
    with pytest.raises(RecipeError, match="did you mean 'curate'"):
        Recipe.load("curat")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("dedup.near", "has no step 'dedup'; did you mean 'deduplicate'?"),
        ("sed", "no such key; did you mean 'seed'?"),
        ("deduplicate.nea", "deduplicate has no setting 'nea'; did you mean 'near'?"),
    ],
)
def test_a_setting_of_the_call_that_fits_nothing_is_named(written, key, message):
    with pytest.raises(RecipeError, match="did you mean") as raised:
        Recipe.load(written(GOOD), settings={key: 1})
    assert message in str(raised.value)
