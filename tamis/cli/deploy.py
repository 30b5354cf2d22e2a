"""`tamis deploy`: a recipe on Prefect's schedule."""

from dataclasses import asdict
from typing import Annotated

import typer

from tamis.cli.app import (
    AsJson,
    Engine,
    K,
    Pool,
    RecipeName,
    Set,
    Target,
    Workers,
    budget_of,
    command,
    settings_of,
)
from tamis.cli.screen import out, print_json


@command('tamis deploy recipe.yaml --cron "0 3 * * *"')
def deploy(
    recipe: RecipeName,
    cron: Annotated[str | None, typer.Option(help="When: '0 3 * * *' is at 3 a.m.")] = None,
    timezone: Annotated[str, typer.Option(help="Of --cron.")] = "UTC",
    pool: Pool = None,
    target: Target = None,
    k: K = None,
    settings: Set = None,
    name: Annotated[str | None, typer.Option(help="Instead of the recipe's name.")] = None,
    work_pool: Annotated[str, typer.Option(help="Prefect's work pool; made if needed.")] = "tamis",
    kind: Annotated[str, typer.Option("--type", help="process, docker, kubernetes.")] = "process",
    job: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A job variable of the pool.")
    ] = None,
    cards: Annotated[
        int | None, typer.Option(min=1, help="Steps that may use a model at once.")
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="Runs that keep all their files.")] = 7,
    engine: Engine = None,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Deploy a recipe on Prefect, on a schedule."""
    from tamis.flows.deploy import WORK_POOL
    from tamis.flows.deploy import deploy as deploy_recipe
    from tamis.pipelines.recipe import Recipe

    read = Recipe.load(
        recipe,
        k=budget_of(k),
        settings=settings_of(settings),
        pool=pool,
        target=target,
        engine=engine,
    )
    done = deploy_recipe(
        read,
        cron=cron,
        timezone=timezone,
        name=name,
        work_pool=work_pool,
        kind=kind,
        job=settings_of(job),
        workers=workers,
        keep=keep,
        cards=cards,
    )
    if as_json:
        print_json(asdict(done))
        return
    when = f"runs at '{cron}' ({timezone})" if cron else "runs when asked"
    out.print(f"Deployed: {done.name}, {when}", soft_wrap=True)
    serve = "tamis serve" + ("" if work_pool == WORK_POOL else f" --work-pool {work_pool}")
    out.print("Next:")
    out.print(f"  {serve if kind == 'process' else f'prefect worker start --pool {work_pool}'}")
    out.print(f"  prefect deployment run '{done.name}'", soft_wrap=True)
