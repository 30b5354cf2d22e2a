"""`tamis sql`: DuckDB over the catalogue."""

from typing import Annotated

import typer

from tamis.cli.app import AsJson, command
from tamis.cli.screen import print_json, print_table, value_text


@command('tamis sql "SELECT source, count(*) FROM curated GROUP BY ALL"')
def sql(
    query: Annotated[str, typer.Argument(help="DuckDB's SQL.")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="A file for it.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Let the query change things.")] = False,
    as_json: AsJson = False,
) -> None:
    """Query runs, examples, scores, selections, curated and features."""
    from datasets import Dataset

    from tamis.data.catalog import catalog
    from tamis.data.save import save

    with catalog(read_only=not write) as opened:
        table = opened.table(query)
    if output:
        save(Dataset(table), output)
        return
    if as_json:
        print_json(table.to_pylist())
        return
    print_table(
        f"{table.num_rows:,} rows",
        table.column_names,
        [
            [value_text(value) for value in row]
            for row in zip(*table.to_pydict().values(), strict=True)
        ],
    )
