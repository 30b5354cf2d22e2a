"""A run without Prefect: the same steps in the same order, for tests of what comes after."""

from tamis.data.load import load
from tamis.data.pools import pool_key, stored
from tamis.pipelines import runs
from tamis.pipelines.export import export_run
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.steps import planned_steps, run_step


def ran(text, run_id=None):
    """Run a recipe's text; return the finished run."""
    recipe = Recipe.parse(text, "recipe.yaml")
    run_id = run_id or runs.new_id(recipe.name)
    with runs.recorded(recipe, run_id) as run:
        pool = stored(load(recipe.pool, format=recipe.format, columns=recipe.columns))
        runs.write_texts(pool)
        runs.note(run_id, pool=pool_key(pool))
        steps = planned_steps(recipe, pool)
        outcomes = [run_step(step, pool, steps[:number]) for number, step in enumerate(steps)]
        runs.write_curated(run, pool, steps)
        for to in recipe.export:
            export_run(runs.find(run_id), to)
        runs.write_outcomes(run, outcomes)
    return runs.find(run_id)
