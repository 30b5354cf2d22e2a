import numpy as np
import pytest
from datasets import Dataset

from tamis.errors import RecipeError
from tamis.pipelines.compare import designed_for
from tamis.pipelines.recipe import Recipe

TEXT = """\
name: mine
target: wanted.jsonl
steps:
  - random: {k: 5}
compare: {against: [random, {dsir: {buckets: 64}}], seeds: 2}
"""


def parse(text, **given):
    return Recipe.parse(text, "mine.yaml", **given)


def test_a_recipe_says_what_it_is_compared_with():
    recipe = parse(TEXT)
    assert recipe.compare.methods == [("random", {}), ("dsir", {"buckets": 64})]
    assert recipe.compare.seeds == 2
    assert parse(recipe.as_yaml()) == recipe


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("target: wanted.jsonl\n", "", "line 4: compare needs a target"),
        ("seeds", "sedes", "no key 'compare.sedes'; did you mean 'seeds'"),
        ("dsir:", "dsri:", "line 5: no method 'dsri'; did you mean 'dsir'"),
        ("buckets", "bukets", "line 5: dsir has no setting 'bukets'"),
        ("seeds: 2", "seeds: two", "line 5: compare.seeds is 'two'"),
    ],
)
def test_what_is_wrong_with_it_is_named_with_its_line(old, new, match):
    with pytest.raises(RecipeError, match=match):
        parse(TEXT.replace(old, new))


def test_its_steps_are_a_method_that_sees_no_held_out_example(tmp_path):
    draw = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in draw.integers(0, 60, 12)) for _ in range(60)]
    path = tmp_path / "wanted.parquet"
    Dataset.from_dict({"text": texts[40:]}).to_parquet(str(path))
    recipe = parse(TEXT.replace("- random: {k: 5}", "- dsir: {k: 5, buckets: 64, min_tokens: 1}"),
                   target=str(path))  # fmt: skip
    design = designed_for(recipe, Dataset.from_dict({"text": texts}), kept=5)
    assert design.methods == ["mine", "dsir"]
    assert len(design.leakage.exact) == 20
    mine = [turn for turn in design.turns if turn.method == "mine"]
    assert [turn.seed for turn in mine] == [0, 1]
    assert all(len(turn.selector.steps[0][0].target) == 10 for turn in mine)
    assert mine[0].amount.count == 5
