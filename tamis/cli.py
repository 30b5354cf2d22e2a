"""The command line: results on stdout, progress and errors on stderr.

Exit codes: 0 done, 1 the run failed, 2 the call was wrong. An error is one line, with the
mend; `--debug` shows the traceback.
"""

import json
import os
import sys
import webbrowser
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import tamis
from tamis.errors import (
    BudgetError,
    NoSuchFileError,
    RecipeError,
    SettingError,
    TamisError,
    did_you_mean,
)

if TYPE_CHECKING:
    from tamis.pipelines.runs import Run

CPUS = os.cpu_count() or 1
WRONG_CALL = (BudgetError, NoSuchFileError, RecipeError, SettingError)

app = typer.Typer(
    name="tamis",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode="rich",
    epilog="Start with: tamis run curate --pool pool.jsonl --target wanted.jsonl --k 1000",
)
out = Console(highlight=False, soft_wrap=False)

Recipe_ = Annotated[str, typer.Argument(metavar="RECIPE", help="A file, or a shipped recipe.")]
Pool = Annotated[str | None, typer.Option("--pool", help="Instead of the recipe's pool.")]
Target = Annotated[str | None, typer.Option("--target", help="Instead of the recipe's target.")]
K = Annotated[str | None, typer.Option("--k", "-k", help="How many to keep, or what share.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting.")
]
Workers = Annotated[int, typer.Option(min=1, help="Threads; never changes who is chosen.")]
Strict = Annotated[bool, typer.Option("--strict", help="Make an unreadable row an error.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="An id, the start of one, or 'last'.")]


def _command(example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return app.command(epilog=f"Example: {example}")


@app.callback()
def every_command(
    version: Annotated[bool, typer.Option("--version", help="Say which tamis this is.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose.")] = False,
) -> None:
    """Keep the examples worth training on, with a score and a reason for every row."""
    del debug  # `main` has looked at it
    if version:
        out.print(tamis.__version__)
        raise typer.Exit


@_command("tamis run curate --pool pool.jsonl --target wanted.jsonl --k 1000")
def run(
    recipe: Annotated[str | None, typer.Argument(metavar="RECIPE")] = None,
    pool: Pool = None,
    target: Target = None,
    k: K = None,
    settings: Set = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run.")] = None,
    strict: Strict = False,
    workers: Workers = CPUS,
    as_json: AsJson = False,
) -> None:
    """Run a recipe: curate a pool, and account for every row."""
    from tamis.flows.curate import run as run_recipe

    if (recipe is None) == (resume is None):
        raise SettingError("tamis run takes a RECIPE, or --resume RUN; give one of them")
    done = run_recipe(
        recipe or "",
        pool=pool,
        target=target,
        k=_budget(k),
        settings=_settings(settings) | ({"strict": True} if strict else {}),
        resume=resume,
        workers=workers,
    )
    _show(done, as_json)


@_command("tamis plan curate --pool pool.jsonl --target wanted.jsonl")
def plan(
    recipe: Recipe_,
    pool: Pool = None,
    target: Target = None,
    k: K = None,
    settings: Set = None,
    as_json: AsJson = False,
) -> None:
    """Say what a recipe would do and cost, before anything is spent."""
    from tamis.data.load import load
    from tamis.pipelines.plan import plan as planned
    from tamis.pipelines.recipe import Recipe

    read = Recipe.load(recipe, k=_budget(k), settings=_settings(settings), pool=pool, target=target)
    if read.pool is None:
        raise SettingError(f"recipe {read.name} names no pool; give --pool FILE")
    rows = load(read.pool, format=read.format, columns=read.columns, strict=read.strict)
    expected = planned(read, rows)
    if as_json:
        _print_json({**asdict(expected), "seconds": expected.seconds})
        return
    _table(
        f"{expected.recipe}: {expected.rows:,} rows, tried on {expected.sample_rows:,}",
        ["step", "rows", "kept", "time", "memory", "tokens", "money"],
        [
            [
                f"{step.number} {step.method}",
                f"{step.rows:,}",
                f"~{step.kept:,}",
                "done already" if step.done else _duration(step.seconds),
                f"{step.memory_bytes / 1e6:,.0f} MB",
                f"{step.tokens:,}",
                f"${step.money:.2f}",
            ]
            for step in expected.steps
        ],
    )
    out.print(f"In all about {_duration(expected.seconds)} with one worker.")


@_command("tamis select dsir pool.jsonl --target wanted.jsonl -k 1000 -o kept.parquet")
def select(
    method: Annotated[str, typer.Argument(help="A method; see `tamis doctor` for the list.")],
    pool: Annotated[str, typer.Argument(help="The data to choose from.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Where the kept rows go.")],
    target: Annotated[str | None, typer.Option(help="A few examples of what you want.")] = None,
    k: K = None,
    seed: Annotated[int, typer.Option(help="Of the draw, where the method draws.")] = 0,
    settings: Set = None,
    verdicts: Annotated[
        str | None, typer.Option(help="Parquet file for the score and reason of every row.")
    ] = None,
    strict: Strict = False,
    workers: Workers = CPUS,
    as_json: AsJson = False,
) -> None:
    """Run one method, no recipe."""
    from tamis.data.load import load, rejected
    from tamis.data.save import save
    from tamis.selectors.configure import configured

    selector = configured(method, _settings(settings), {"target": target, "seed": seed})
    rows = load(pool, strict=strict)
    picked = selector.select(rows, _budget(k), workers=workers)
    save(picked.apply(rows), output)
    if verdicts:
        picked.save(verdicts)
    reasons = _grouped(picked.counts())
    facts = {
        "method": repr(selector),
        "rows": len(rows),
        "rejected": len(rejected(rows)),
        "kept": len(picked),
        "seconds": round(picked.seconds, 3),
        "reasons": reasons,
        "output": output,
    }
    if as_json:
        _print_json(facts)
        return
    _table(
        f"{method}: {len(picked):,} of {len(rows):,} kept",
        ["reason", "rows"],
        [[reason, f"{count:,}"] for reason, count in reasons.items()],
    )
    out.print(f"Kept rows: {escape(output)}", soft_wrap=True)


@_command("tamis runs")
def runs(as_json: AsJson = False) -> None:
    """List what ran, newest first."""
    from tamis.pipelines.runs import runs as all_runs

    known = all_runs()
    if as_json:
        _print_json([_run_facts(run) for run in known])
        return
    _table(
        f"{len(known)} runs",
        ["run", "recipe", "status", "started", "kept"],
        [
            [
                run.id,
                run.record.recipe,
                run.status,
                f"{run.record.started:%Y-%m-%d %H:%M}",
                f"{run.outcomes[-1].kept:,}" if run.outcomes else "",
            ]
            for run in known
        ],
    )


@_command("tamis show last")
def show(run_id: RunId, as_json: AsJson = False) -> None:
    """Show what came out of a run."""
    from tamis.pipelines.runs import find

    _show(find(run_id), as_json)


@_command("tamis explain last 1a2b3c4d")
def explain(
    run_id: RunId,
    example_id: Annotated[str, typer.Argument(help="An id, or enough of its start.")],
    as_json: AsJson = False,
) -> None:
    """Say why a row is in or out."""
    from tamis.pipelines.explain import explain as explained
    from tamis.pipelines.runs import find

    found = explained(find(run_id), example_id)
    if as_json:
        _print_json(asdict(found))
        return
    out.print(f"[bold]{found.example_id}[/] is {'kept' if found.kept else 'not kept'}")
    out.print(escape(_short(found.prompt or found.text, 300)))
    if found.response:
        out.print("→ " + escape(_short(found.response, 300)))
    _table(
        "",
        ["step", "verdict", "score", "signals"],
        [
            [
                f"{verdict.step} {verdict.method}",
                verdict.reason + (f" (rank {verdict.rank:,})" if verdict.rank else ""),
                f"{verdict.score:.4g}",
                ", ".join(f"{name} {_value(value)}" for name, value in verdict.signals.items()),
            ]
            for verdict in found.verdicts
        ],
    )


@_command('tamis sql "SELECT source, count(*) FROM curated GROUP BY ALL"')
def sql(
    query: Annotated[str, typer.Argument(help="DuckDB's SQL.")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="A file for it.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Let the query change things.")] = False,
    as_json: AsJson = False,
) -> None:
    """Query runs, examples, scores, selections, curated and features."""
    from tamis.data.catalog import catalog
    from tamis.data.save import save

    with catalog(read_only=not write) as opened:
        table = opened.table(query)
    if output:
        save(table, output)
        return
    if as_json:
        _print_json(table.to_pylist())
        return
    _table(
        f"{table.num_rows:,} rows",
        table.column_names,
        [[_value(value) for value in row] for row in zip(*table.to_pydict().values(), strict=True)],
    )


@_command("tamis report last --open")
def report(
    run_id: RunId,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the page of a run."""
    from tamis.pipelines.runs import find
    from tamis.report.of_run import write_run_report

    page = write_run_report(find(run_id))
    if open_:
        webbrowser.open(page.as_uri())
    if as_json:
        _print_json({"report": str(page)})
    else:
        out.print(str(page), soft_wrap=True)


@_command("tamis export last --to kept/ --format messages")
def export(
    run_id: RunId,
    to: Annotated[str, typer.Option("--to", help="A file, or a folder.")],
    form: Annotated[
        str, typer.Option("--format", help="alpaca, messages, sharegpt, prompt-completion, text.")
    ] = "parquet",
    as_json: AsJson = False,
) -> None:
    """Publish the curated set of a run."""
    from tamis.pipelines.export import export_run
    from tamis.pipelines.runs import find

    path, rows = export_run(find(run_id), to, form)
    if as_json:
        _print_json({"path": str(path), "rows": rows})
    else:
        out.print(f"{rows:,} rows: {path}", soft_wrap=True)


@_command("tamis doctor")
def doctor(as_json: AsJson = False) -> None:
    """Say what works here, and what to install for the rest."""
    from tamis.pipelines.doctor import examine

    found = examine()
    if as_json:
        _print_json([item.as_plain() for item in found])
        return
    _table(
        "tamis doctor",
        ["what", "here", "mend"],
        [[item.what, ("✓ " if item.usable else "✗ ") + item.found, item.mend] for item in found],
    )


def main() -> None:
    """Run the command line and leave with its exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        code = typer.main.get_command(app)(arguments, prog_name="tamis", standalone_mode=False)
    except typer.TyperException as error:
        code = _complain(_usage(error, arguments), 2)
    except WRONG_CALL as error:
        code = _complain(str(error), 2, debug)
    except TamisError as error:
        code = _complain(str(error), 1, debug)
    except BrokenPipeError:  # `tamis sql … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        code = _complain(f"{line}; --debug shows where; this is a defect in tamis", 1, debug)
    sys.exit(code or 0)


def _usage(error: Exception, arguments: list[str]) -> str:
    message = getattr(error, "format_message", error.__str__)().strip()
    command = next((word for word in arguments if not word.startswith("-")), None)
    names = [
        known.name or known.callback.__name__ for known in app.registered_commands if known.callback
    ]
    if command is not None and command not in names:
        return f"no command '{command}'; {did_you_mean(command, names)}"
    line = " ".join(message.split()).rstrip(".")
    return f"{line[:1].lower()}{line[1:]}; see: tamis {command or ''} --help"


def _complain(message: str, code: int, debug: bool = False) -> int:
    if debug:
        raise
    Console(stderr=True, highlight=False).print(
        f"[red]tamis:[/] {escape(' '.join(message.split()))}", soft_wrap=True
    )
    return code


def _show(run: "Run", as_json: bool) -> None:
    if as_json:
        _print_json(_run_facts(run))
        return
    kept = f"{run.outcomes[-1].kept:,} of {run.outcomes[0].rows:,} kept" if run.outcomes else ""
    set_aside = f"; {_rejected(run):,} rows could not be read" if _rejected(run) else ""
    out.print(f"[bold]{run.id}[/] {run.status} {kept}{set_aside}", soft_wrap=True)
    if run.record.error:
        out.print(escape(run.record.error), soft_wrap=True)
    if run.outcomes:
        _table(
            "",
            ["step", "rows", "kept", "time", "dropped because"],
            [
                [
                    f"{outcome.number} {outcome.method}",
                    f"{outcome.rows:,}",
                    f"{outcome.kept:,}",
                    "reused" if outcome.reused else _duration(outcome.seconds),
                    "\n".join(
                        f"{count:,} {_short(reason, 60)}"
                        for reason, count in list(_dropped(selection.counts()).items())[:4]
                    ),
                ]
                for outcome, selection in zip(run.outcomes, run.step_selections, strict=True)
            ],
        )
    if run.status != "done":
        out.print(f"Go on with: tamis run --resume {run.id}", soft_wrap=True)
        return
    _show_best(run)
    first = run.dataset[0]["tamis_id"][:8]
    out.print(f"Report: {run.report}", soft_wrap=True)
    out.print("Next:")
    out.print(f"  tamis explain {run.id} {first}", soft_wrap=True)
    out.print('  tamis sql "SELECT reason, count(*) FROM selections GROUP BY ALL"')
    out.print(f"  tamis export {run.id} --to out/curated.jsonl --format messages", soft_wrap=True)


def _show_best(run: "Run") -> None:
    from tamis.data import formats

    best = run.dataset.select(range(min(3, len(run.dataset)))).with_format("arrow")[:]
    said = formats.fields(best)
    _table(
        "The best of the kept",
        ["id", "score", "prompt", "response"],
        [
            [example_id[:8], f"{score:.3g}", _short(prompt or text, 60), _short(response, 60)]
            for example_id, score, prompt, response, text in zip(
                best["tamis_id"].to_pylist(),
                best["tamis_score"].to_pylist(),
                *(column.to_pylist() for column in said),
                strict=True,
            )
        ],
    )


def _run_facts(run: "Run") -> dict[str, Any]:
    return {
        "run": run.id,
        "recipe": run.record.recipe,
        "status": run.status,
        "started": run.record.started,
        "finished": run.record.finished,
        "seed": run.record.seed,
        "error": run.record.error,
        "rejected": _rejected(run),
        "cost": run.cost,
        "steps": [asdict(outcome) for outcome in run.outcomes],
        "report": str(run.report) if run.report.exists() else None,
    }


def _rejected(run: "Run") -> int:
    return len(run.rejected) if run.record.pool else 0


def _dropped(counts: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in _grouped(counts).items() if reason != "kept"}


def _grouped(counts: dict[str, int]) -> dict[str, int]:
    """Join reasons that differ only in their figures: what stands before the colon counts."""
    grouped: dict[str, int] = {}
    for reason, count in counts.items():
        kind = reason.partition(":")[0].partition(" of ")[0]
        grouped[kind] = grouped.get(kind, 0) + count
    return dict(sorted(grouped.items(), key=lambda item: -item[1]))


def _budget(k: str | None) -> int | float | None:
    if k is None:
        return None
    try:
        return float(k) if "." in k or "e" in k.lower() else int(k)
    except ValueError:
        raise SettingError(f"--k {k}: no number; give 1000, or a share such as 0.1") from None


def _settings(pairs: Iterable[str] | None) -> dict[str, Any]:
    settings = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise SettingError(f"--set {pair}: write KEY=VALUE, such as deduplicate.near=0.9")
        try:
            settings[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            settings[key] = value
    return settings


def _table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    if title:
        out.print(f"[bold]{escape(title)}[/]", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, header_style="bold", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    out.print(table)


def _print_json(document: object) -> None:
    sys.stdout.write(json.dumps(document, default=str, ensure_ascii=False, indent=2) + "\n")


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _short(str(value), 120)


def _short(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
