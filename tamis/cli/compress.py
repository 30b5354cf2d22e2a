"""`tamis compress`: a prompt in, a shorter one out."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from tamis.cli.app import AsJson, Set, command, settings_of
from tamis.cli.proof import advise_on, check_compression
from tamis.cli.screen import print_json
from tamis.errors import DataError, NoSuchFileError


@command("tamis compress notes.txt --rate 0.33 --question 'Who won?' --method longllmlingua")
def compress(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE|-", help="A prompt; several files are its documents."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Share of the tokens to keep; 0.5 if not said.")
    ] = None,
    target_tokens: Annotated[
        int | None, typer.Option(help="Instead: the most tokens to keep.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="llmlingua, longllmlingua, selective-context, …")
    ] = "llmlingua",
    question: Annotated[str, typer.Option(help="Stays whole, after the prompt.")] = "",
    instruction: Annotated[str, typer.Option(help="Stays whole, before the prompt.")] = "",
    keep: Annotated[
        list[str] | None, typer.Option(metavar="REGEX", help="What it matches survives.")
    ] = None,
    structure: Annotated[
        bool, typer.Option("--structure", help="Code, JSON, tags, addresses, numbers survive.")
    ] = False,
    tokenizer: Annotated[
        str | None, typer.Option(help="Whose tokens count: transformers:ID, or a folder.")
    ] = None,
    lm: Annotated[str, typer.Option(help="The model that reads the prompt.")] = "bundled",
    seed: Annotated[int, typer.Option(help="Of the draw, where the method draws.")] = 0,
    reference: Annotated[
        bool, typer.Option("--reference", help="As the authors' code does it.")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(metavar="DATA", help="Instead: are answers to its prompts still likely?"),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Of --check: so many, drawn.")] = 100,
    advise: Annotated[
        bool, typer.Option("--advise", help="Instead: would it save time or money?")
    ] = False,
    server: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Reads the result: openai:ID?base_url=…")
    ] = None,
    answer_tokens: Annotated[int, typer.Option(min=1, help="Of --advise: a usual answer.")] = 200,
    hourly: Annotated[float, typer.Option(help="Of --advise: what this machine costs.")] = 0.0,
    settings: Set = None,
    as_json: AsJson = False,
) -> None:
    """Shorten a prompt; its text goes to stdout, the savings to stderr."""
    how = {
        "rate": rate,
        "target_tokens": target_tokens,
        "method": method,
        "keep": keep or (),
        "structure": structure,
        "tokenizer": tokenizer,
        "lm": lm,
        "seed": seed,
        "reference": reference,
        **settings_of(settings),
    }
    if check is not None:
        check_compression(check, rows, server or lm, as_json, **how)
        return
    texts = [_read(name) for name in files or ["-"]]
    prompt = {
        "prompt": texts[0] if len(texts) == 1 else "",
        "contexts": texts if len(texts) > 1 else None,
        "question": question,
        "instruction": instruction,
    }
    if advise:
        advise_on(prompt, server, answer_tokens, hourly, as_json, **how)
        return
    _shorten(prompt, as_json, **how)


def _shorten(prompt: Mapping[str, Any], as_json: bool, **how: Any) -> None:  # noqa: ANN401
    from tamis.prompting import compress as shorten

    method = how["method"]
    done = shorten(**prompt, **how)
    if as_json:
        names = ("text", "tokens", "original_tokens", "rate", "ratio", "kept", "model_tokens")
        print_json({"method": method, **{name: getattr(done, name) for name in names}})
        return
    sys.stdout.buffer.write(done.text.encode())
    sys.stdout.buffer.write(b"\n" if sys.stdout.isatty() else b"")
    sys.stdout.flush()
    saved = f"{done.original_tokens:,} tokens to {done.tokens:,} ({done.ratio:.1f} times shorter)"
    Console(stderr=True, highlight=False).print(escape(f"{method}: {saved}"), soft_wrap=True)


def _read(name: str) -> str:
    """Return the text of a file, or of stdin for '-', as it is: line ends are not changed."""
    if name == "-":
        data = sys.stdin.buffer.read()
    else:
        path = Path(name)
        if not path.is_file():
            raise NoSuchFileError(f"{name}: no such file; give a text file, or - for stdin")
        data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: byte {error.start} is not UTF-8; save it as UTF-8 (iconv -t utf-8)"
        ) from None
