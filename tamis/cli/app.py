"""The application that the commands belong to: their shared options, and how they end."""

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape

import tamis
from tamis.cli.screen import out
from tamis.errors import (
    BudgetError,
    NoSuchFileError,
    RecipeError,
    SettingError,
    TamisError,
    did_you_mean,
)

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

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A file, or a shipped recipe.")]
Pool = Annotated[str | None, typer.Option("--pool", help="Instead of the recipe's pool.")]
Target = Annotated[str | None, typer.Option("--target", help="Instead of the recipe's target.")]
K = Annotated[str | None, typer.Option("--k", "-k", help="How many to keep, or what share.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting.")
]
Workers = Annotated[int, typer.Option(min=1, help="Threads; never changes who is chosen.")]
Engine = Annotated[
    str | None,
    typer.Option("--engine", help="local, ray or ray:ADDRESS; never changes who is chosen."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Make an unreadable row an error.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="An id, the start of one, or 'last'.")]


def command(example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command, with an example in its help."""
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


def budget_of(k: str | None) -> int | float | None:
    """Read `--k`."""
    if k is None:
        return None
    try:
        return float(k) if "." in k or "e" in k.lower() else int(k)
    except ValueError:
        raise SettingError(f"--k {k}: no number; give 1000, or a share such as 0.1") from None


def settings_of(pairs: Iterable[str] | None) -> dict[str, Any]:
    """Read what `--set` gave, each value as YAML."""
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


def process() -> None:
    """Do as `main`, as all that this process is for: it ends without taking its objects apart.

    Threads and all that asks to be told of the end are waited for, as ever. Taking apart what
    Prefect and others made is left out, as it takes a good part of a second.
    """
    codes: list[int] = []
    atexit.register(_end, codes)  # the first, and so called last
    try:
        main()
    except SystemExit as ended:
        codes.append(ended.code if isinstance(ended.code, int) else 0)
        raise


def _end(codes: list[int]) -> None:
    """End with the code that there is; what could not be written is no success."""
    if not codes:
        return
    try:
        if sys.stdout is not None:  # as it is where a shell closed it
            sys.stdout.flush()
    except BrokenPipeError:
        pass  # `tamis sql … | head`
    except OSError as error:
        codes[0] = _complain(f"standard output: {error.strerror}; write it elsewhere", 1)
    os._exit(codes[0])


def main() -> None:
    """Run the command line and leave with its exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    gc.set_threshold(100_000)  # at 700 objects, half a second goes by in what imports leave
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
