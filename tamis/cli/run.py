"""`tamis run`: a recipe, from beginning to end."""

import gc
import sys
from typing import Annotated

import typer

from tamis.cli.account import show_run
from tamis.cli.app import (
    CPUS,
    AsJson,
    Engine,
    K,
    Pool,
    Set,
    Strict,
    Target,
    Workers,
    budget_of,
    command,
    settings_of,
)
from tamis.errors import SettingError

_PATIENCE_SECONDS = 0.0005


@command("tamis run curate --pool pool.jsonl --target wanted.jsonl --k 1000")
def run(
    recipe: Annotated[str | None, typer.Argument(metavar="RECIPE")] = None,
    pool: Pool = None,
    target: Target = None,
    k: K = None,
    settings: Set = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run.")] = None,
    strict: Strict = False,
    engine: Engine = None,
    workers: Workers = CPUS,
    as_json: AsJson = False,
) -> None:
    """Run a recipe: curate a pool, and account for every row."""
    from tamis.flows.server import begin_server

    if (recipe is None) == (resume is None):
        raise SettingError("tamis run takes a RECIPE, or --resume RUN; give one of them")
    begin_server()  # it gets ready while what is below is imported
    from tamis.data.load import begun
    from tamis.pipelines import runs
    from tamis.pipelines.recipe import Recipe

    asked = settings_of(settings) | ({"strict": True} if strict else {})
    wanted = (
        Recipe.load(recipe, k=budget_of(k), settings=asked, pool=pool, target=target)
        if recipe is not None
        else runs.find(resume or "").recipe
    )
    source = wanted.pool if wanted.generate is None else None
    with begun(source, strict=wanted.strict):  # Prefect takes seconds to import
        gc.disable()  # for as long: modules stay
        patience = sys.getswitchinterval()
        sys.setswitchinterval(_PATIENCE_SECONDS)  # who reads asks for the interpreter often
        from tamis.flows.curate import run as run_recipe

        sys.setswitchinterval(patience)
        gc.freeze()
        gc.enable()
        done = run_recipe(wanted, resume=resume, engine=engine, workers=workers)
    show_run(done, as_json)
