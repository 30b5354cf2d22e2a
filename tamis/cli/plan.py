"""`tamis plan`: what a recipe would do and cost, here or on many machines."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tamis.cli.amounts import bytes_of, count_of, count_text
from tamis.cli.app import AsJson, K, Pool, RecipeName, Set, Target, budget_of, command, settings_of
from tamis.cli.screen import duration, out, print_json, print_table
from tamis.errors import SettingError

if TYPE_CHECKING:
    from tamis.pipelines.plan import Plan, StepCost
    from tamis.pipelines.scale import Cluster, ScaledPlan, ScaledStep

Rows = Annotated[
    str | None, typer.Option("--rows", help="Of the whole pool, of which --pool is a sample: 1.6B.")
]
Nodes = Annotated[int | None, typer.Option("--nodes", min=1, help="Machines to spread over.")]
Cores = Annotated[int | None, typer.Option("--cores", min=1, help="Of a node; as here.")]
Memory = Annotated[str | None, typer.Option("--memory", help="Of a node: 64GB; as here.")]
Network = Annotated[str, typer.Option("--network", help="Of a node, a second: 1.25GB, 10Gbit.")]
Disk = Annotated[str, typer.Option("--disk", help="Of a node, a second: 500MB.")]
Failures = Annotated[
    float, typer.Option("--days-between-failures", min=0.01, help="Of one node, on average.")
]


@command("tamis plan curate --pool pool.jsonl --target wanted.jsonl --rows 1.6B --nodes 32")
def plan(
    recipe: RecipeName,
    pool: Pool = None,
    target: Target = None,
    k: K = None,
    settings: Set = None,
    rows: Rows = None,
    nodes: Nodes = None,
    cores: Cores = None,
    memory: Memory = None,
    network: Network = "1.25GB",
    disk: Disk = "1GB",
    days_between_failures: Failures = 30.0,
    as_json: AsJson = False,
) -> None:
    """Say what a recipe would do and cost, before anything is spent.

    With --rows or --nodes: for so many rows like those of --pool, on so many machines.
    """
    from tamis.data.load import load
    from tamis.pipelines.cluster import Troubles
    from tamis.pipelines.plan import plan as planned
    from tamis.pipelines.recipe import Recipe
    from tamis.pipelines.scale import Cluster, scaled_plan

    read = Recipe.load(
        recipe, k=budget_of(k), settings=settings_of(settings), pool=pool, target=target
    )
    if read.pool is None:
        raise SettingError(f"recipe {read.name} names no pool; give --pool FILE")
    many = None if rows is None else count_of("--rows", rows)
    cluster = Cluster(
        nodes=nodes or 1,
        cores=cores or os.cpu_count() or 1,
        memory=_memory_here() if memory is None else bytes_of("--memory", memory),
        network=bytes_of("--network", network),
        disk=bytes_of("--disk", disk),
    )
    held = load(read.pool, format=read.format, columns=read.columns, strict=read.strict)
    if many is None and nodes is None:
        _show(planned(read, held), as_json)
    else:
        troubles = Troubles(days_between_failures=days_between_failures)
        _show_scaled(scaled_plan(read, held, many or len(held), cluster, troubles), as_json)


def _show(expected: "Plan", as_json: bool) -> None:
    if as_json:
        print_json({**asdict(expected), "seconds": expected.seconds})
        return
    print_table(
        f"{expected.recipe}: {expected.rows:,} rows, tried on {expected.sample_rows:,}",
        ["step", "rows", "kept", "time", "memory", "tokens", "money"],
        [
            [
                f"{step.number} {step.method}",
                f"{step.rows:,}",
                f"~{step.kept:,}",
                _time(step),
                f"{step.memory_bytes / 1e6:,.0f} MB",
                f"{step.tokens:,}",
                _money(step.money),
            ]
            for step in expected.steps
        ],
    )
    served = any(step.seconds is None for step in expected.steps)
    more = ", and what the servers take" if served else ""
    out.print(f"In all about {duration(expected.seconds)} with one worker{more}.")


def _show_scaled(expected: "ScaledPlan", as_json: bool) -> None:
    cluster, (middle, least, most) = expected.cluster, expected.expected
    if as_json:
        steps = [
            {**asdict(step), "seconds": step.seconds, "bottleneck": step.bottleneck}
            for step in expected.steps
        ]
        whole = {"seconds": expected.seconds, "bottleneck": expected.bottleneck}
        more = {"expected": expected.expected, "money": expected.money, "steps": steps}
        print_json({**asdict(expected), **whole, **more})
        return
    print_table(
        f"{expected.recipe}: {count_text(expected.rows)} rows on {_said(cluster)}; "
        f"tried on {expected.sample_rows:,} rows here",
        ["step", "rows", "kept", "a core", "grows as", "compute", "network", "disk", "one node"],
        [_cells(step) for step in expected.steps],
    )
    core_hours = sum(step.core_seconds for step in expected.steps) / 3600
    lines = [
        f"In all {duration(expected.seconds)} where nothing goes wrong, {core_hours:,.1f} "
        f"core-hours; bound by {expected.bottleneck}.",
        f"With stragglers and failed nodes {duration(middle)} ({duration(least)} to "
        f"{duration(most)}), by simulation.",
        f"Over the network {_size(sum(step.network_bytes for step in expected.steps))}, "
        f"to and from disks {_size(sum(step.disk_bytes for step in expected.steps))}.",
        _memory_line(expected),
        f"Money for models: {_money(expected.money)}.",
    ]
    if any(step.served for step in expected.steps):
        lines.append("What servers take is not in it: nobody knows their speed here.")
    for line in lines:
        out.print(line)


def _cells(step: "ScaledStep") -> list[str]:
    served = "the server's"
    grows = "—" if step.error == float("inf") else f"n^{step.exponent:.2f}±{step.error:.2f}"
    return [
        f"{step.number} {step.method}",
        count_text(step.rows),
        f"~{count_text(step.kept)}",
        served if step.served else f"{_size(step.rows_a_second * step.row_bytes)}/s",
        served if step.served else grows,
        served if step.served else duration(step.compute),
        duration(step.network),
        duration(step.disk),
        duration(step.alone),
    ]


def _memory_line(expected: "ScaledPlan") -> str:
    held, has = expected.memory_bytes, expected.cluster.memory
    gathered = max(step.gathered_bytes for step in expected.steps)
    line = (
        f"Memory: {_size(held)} a node, of {_size(has)}; the first node holds scores and reasons "
        f"of all rows, {_size(gathered)}"
    )
    line += " (beyond its memory, in files under TAMIS_HOME)." if held + gathered > has else "."
    return line if held <= has else f"{line} Too much: take fewer cores of each, or more memory."


def _said(cluster: "Cluster") -> str:
    nodes = f"{cluster.nodes} node{'s' * (cluster.nodes > 1)}"
    return f"{nodes} of {cluster.cores} core{'s' * (cluster.cores > 1)}"


def _time(step: "StepCost") -> str:
    if step.done:
        return "done already"
    return "the server's" if step.seconds is None else duration(step.seconds)


def _money(dollars: float | None) -> str:
    return "no prices" if dollars is None else f"${dollars:,.2f}"


def _size(amount: float) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if amount >= size:
            return f"{amount / size:,.3g} {unit}"
    return f"{amount / 1e6:,.3g} MB"


def _memory_here() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
