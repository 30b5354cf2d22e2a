"""What the commands print with: tables, one JSON document, figures a person reads."""

import json
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["duration", "out", "print_json", "print_table", "short", "value_text"]

out = Console(highlight=False, soft_wrap=False)


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table of plain text under its title."""
    if title:
        out.print(f"[bold]{escape(title)}[/]", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, header_style="bold", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    out.print(table)


def print_json(document: object) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, default=str, ensure_ascii=False, indent=2) + "\n")


def value_text(value: object) -> str:
    """Return a value as one short line."""
    return f"{value:.4g}" if isinstance(value, float) else short(str(value), 120)


def short(text: str, width: int) -> str:
    """Return `text` on one line, cut to `width`."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def duration(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.{1 if seconds < 600 else 0}f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"
