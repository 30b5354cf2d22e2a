"""`tamis compare`: which selection trains better than a random draw."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from tamis.cli.app import CPUS, AsJson, Set, Workers, command, settings_of
from tamis.cli.screen import out, print_json, print_table
from tamis.errors import SettingError


@command("tamis compare pool.jsonl --target wanted.jsonl --methods dsir,kcenter -k 1000 --seeds 3")
def compare(
    pool: Annotated[str, typer.Argument(help="The data to choose from.")],
    target: Annotated[str, typer.Option(help="Examples of what the model shall be good at.")],
    methods: Annotated[str, typer.Option(help="Names, with commas between.")],
    k: Annotated[
        str | None, typer.Option("--k", "-k", help="Rows to pick; several give a curve: 250,1000.")
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(help="Tokens to pick, instead of rows; likewise.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each method.")] = 3,
    draws: Annotated[
        int | None, typer.Option(min=1, help="Random draws; default twice the seeds.")
    ] = None,
    proxy: Annotated[str, typer.Option(help="What is trained.")] = "bundled",
    lora: Annotated[
        int | None, typer.Option(min=1, help="Rank of LoRA; all weights learn without.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over a pick.")] = 1,
    learning_rate: Annotated[float | None, typer.Option(help="Of the training.")] = None,
    test: Annotated[
        str | None, typer.Option(help="Held-out examples; else a part of the target.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The first of the seeds.")] = 0,
    settings: Set = None,
    workers: Workers = CPUS,
    as_json: AsJson = False,
) -> None:
    """Say which picks train a model better than a random draw."""
    from tamis.flows.server import begin_server

    begin_server()  # it gets ready while what is below is imported
    from tamis.flows.compare import compare as compared
    from tamis.report.of_comparison import write_comparison_report

    names = [name.strip() for name in methods.split(",") if name.strip()]
    own: dict[str, dict[str, object]] = {name: {} for name in names}
    for key, value in settings_of(settings).items():
        method, dot, setting = key.partition(".")
        if not dot or method not in own:
            raise SettingError(f"--set {key}: write METHOD.SETTING=VALUE, of one in --methods")
        own[method][setting] = value
    found = compared(
        pool,
        target,
        [{name: given} for name, given in own.items()],
        k=_counts("k", k),
        tokens=_counts("tokens", tokens),
        seeds=seeds,
        draws=draws,
        seed=seed,
        proxy=proxy,
        lora=lora,
        epochs=epochs,
        learning_rate=learning_rate,
        test=test,
        workers=workers,
    )
    page = write_comparison_report(found)
    if as_json:
        print_json(
            {
                "id": found.id,
                **found.facts,
                "untrained": found.untrained,
                "results": [asdict(result) for result in found.results],
                "overlap": found.overlap.to_pylist(),
                "failures": [asdict(failure) for failure in found.failures],
                "notes": found.notes,
                "report": str(page),
            }
        )
        return
    print_table("", found.cells[0], found.cells[1:])
    for failure in found.failures:
        where = f"{failure.method}, seed {failure.seed}, {failure.budget:,} {failure.unit}"
        out.print(f"[red]Failed:[/] {escape(where)}: {escape(failure.reason)}", soft_wrap=True)
    for note in found.notes:
        out.print(escape(note), soft_wrap=True)
    out.print(f"Report: {escape(str(page))}", soft_wrap=True)


def _counts(name: str, given: str | None) -> list[int] | None:
    """Read '1000', or '250,500,1000'."""
    if given is None:
        return None
    try:
        return [int(part) for part in given.replace("_", "").split(",")]
    except ValueError:
        raise SettingError(
            f"--{name} {given}: no numbers; give 1000, or several as in 250,500,1000"
        ) from None
