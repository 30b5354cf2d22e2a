"""`tamis generate`: new instruction data from seed tasks or documents."""

import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from tamis.cli.app import AsJson, Set, command, settings_of
from tamis.cli.screen import out, print_json, print_table
from tamis.errors import SettingError


class Method(StrEnum):
    """What can be asked for."""

    SELF_INSTRUCT = "self-instruct"
    TEGIT = "tegit"


@command("tamis generate self-instruct data/seed_tasks.jsonl -n 200 -o new.jsonl")
def generate(
    method: Annotated[Method, typer.Argument(help="self-instruct or tegit.")],
    source: Annotated[str, typer.Argument(help="Seed tasks, or documents.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Where the new rows go.")],
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="New tasks; tegit: default all documents.")
    ] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Any language model.")] = "bundled",
    chat: Annotated[bool, typer.Option("--chat", help="Ask it as a user does.")] = False,
    tokens: Annotated[int | None, typer.Option(help="Stop before so many tokens.")] = None,
    money: Annotated[float | None, typer.Option(help="Stop before so much money.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    settings: Set = None,
    as_json: AsJson = False,
) -> None:
    """Make new instruction data; beside OUT, what was refused and why.

    A call that was stopped goes on where it was when it is given again.
    """
    from tamis.data.save import save
    from tamis.data.sources import kind_of
    from tamis.prompting.generation import account_of
    from tamis.prompting.generation.configure import FOR_THE_BUNDLED, generator

    if kind_of(Path(output)) is None:
        raise SettingError(f"-o {output}: no kind of file that is written; give out.jsonl")
    if n is None and method == Method.SELF_INSTRUCT:
        raise SettingError("tamis generate self-instruct takes -n, how many new tasks")
    small = FOR_THE_BUNDLED.get(method.value, {}) if model == "bundled" else {}
    lent = {"lm": model, "chat": chat, "seed": seed, **small}
    maker = generator(method.value, settings_of(settings), lent)
    with warnings.catch_warnings(record=True):  # the account says it too
        warnings.simplefilter("always")
        rows = maker.generate(source, n, tokens=tokens, money=money)
    save(rows, output)
    journal = maker.journal(source)
    refused, requests = (_beside(Path(output), kind) for kind in ("refused", "requests"))
    save(journal.refused, refused)
    save(journal.requests, requests)
    facts = {
        **account_of(rows), "output": output, "refused_file": refused, "requests_file": requests
    }  # fmt: skip
    if as_json:
        print_json(facts)
        return
    _show(facts)


def _show(facts: dict[str, Any]) -> None:
    wanted = f" of {facts['wanted']:,}" if facts["wanted"] else ""
    money = f", {facts['money']:.4g} of money" if facts["money"] is not None else ""
    print_table(
        f"{facts['tasks']:,}{wanted} new tasks, {facts['rows']:,} rows; ended: {facts['ended']}",
        ["refused because", "times"],
        [[reason, f"{count:,}"] for reason, count in facts["refused"].items()],
    )
    read, written = facts["prompt_tokens"], facts["completion_tokens"]
    out.print(
        f"{facts['requests']:,} requests, {read:,} tokens read and {written:,} written "
        f"(counted by: {facts['tokens_counted_by']}){money}",
        soft_wrap=True,
    )
    out.print(f"New rows: {escape(facts['output'])}", soft_wrap=True)
    out.print(f"Refused: {escape(str(facts['refused_file']))}", soft_wrap=True)
    out.print(f"Requests: {escape(str(facts['requests_file']))}", soft_wrap=True)


def _beside(output: Path, kind: str) -> Path:
    """Return where something else about `output` goes: new.jsonl.zst, new.refused.jsonl.zst."""
    name, dot, ending = output.name.partition(".")
    return output.with_name(f"{name}.{kind}{dot}{ending}")
