"""A recipe on Ray, from beginning to end."""

import pytest

pytest.importorskip("ray")

import tamis
from tamis.errors import RecipeError, SettingError
from tamis.pipelines.recipe import Recipe

RECIPE = """\
name: small
steps:
  - clean
  - deduplicate: {near: 0.7}
  - dsir: {k: 40, buckets: 512}
"""


@pytest.mark.usefixtures("server")
def test_the_same_recipe_gives_the_same_set(ray, pool, target, tmp_path, monkeypatch):
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE)
    here = tamis.run(recipe, pool=pool, target=target, progress=False)
    kept, reasons = here.dataset.to_list(), here.selection.reasons.tolist()
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path / "another"))
    there = tamis.run(recipe, pool=pool, target=target, engine="ray", progress=False)
    assert there.recipe.engine == "ray"
    assert there.dataset.to_list() == kept
    assert there.selection.reasons.tolist() == reasons


def test_an_engine_that_does_not_exist_is_named(tmp_path, pool):
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE + "engine: rya\n")
    with pytest.raises(RecipeError, match=r"small.yaml, line 6: no engine 'rya'; did you mean 'r"):
        Recipe.load(recipe)
    recipe.write_text(RECIPE)
    with pytest.raises(SettingError, match=r"^no engine 'local:8'; did you mean 'local'\?$"):
        tamis.run(recipe, pool=pool, engine="local:8")
