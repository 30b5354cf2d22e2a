"""What a recipe would take on many machines, for more rows than there are here.

Each step's cost a row comes from `growth`: measured on a sample, on one core of this machine.
Three kinds of step spread differently:

- *rows*: what goes batch by batch (scores, vectors, losses) is shared by all cores, and the first
  node does the rest (every Scorer, and set methods that choose exactly);
- *bands*: rows are signed where they lie, and the keys of their bands are parted by hash, so
  that those alike meet on one node (`deduplicate`);
- *sets*: each node chooses from its share as many as are wanted in all, and one node chooses
  from what they chose (GreeDi, Mirzasoleiman et al., arXiv 1411.0541; methods with `shards`).

The pool lies where all nodes can read it, so rows cross the network once a step, and what is
decided about them comes to the first node. Reading, computing and writing overlap, and take as
long as the slowest of them; what the first node then does alone is added. What slow machines
and failures add comes from `cluster`'s simulation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import numpy as np
from datasets import Dataset

from tamis.errors import RecipeError
from tamis.kernels import minhash
from tamis.pipelines.cluster import Troubles, simulate
from tamis.pipelines.growth import Growth, measured
from tamis.pipelines.plan import peak_bytes
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.steps import planned_steps
from tamis.selectors.base import Scorer
from tamis.selectors.deduplicate import Deduplicate

__all__ = ["Cluster", "ScaledPlan", "ScaledStep", "scaled_plan"]

TASK_ROWS = 65_536  # a task has at most so many rows, and a core at least so many tasks, as on Ray
TURNS = 8
MOST_TASKS = 10_000  # that are simulated a step; more of them would only be smoother
DRAWS = 5
KEY_BYTES = 16  # a band's key, and the row that it is of


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Machines that are alike.

    Attributes
    ----------
    nodes, cores : int
        Cores of each.
    memory : float
        Bytes of each.
    network, disk : float
        Bytes a second of each, in or out.
    """

    nodes: int
    cores: int
    memory: float
    network: float
    disk: float


@dataclass(frozen=True)
class ScaledStep:
    """What one step would take.

    Attributes
    ----------
    number : int
    method, kind : str
    rows, kept : int
    row_bytes : float
    core_seconds : float
        Of computing, all cores together; 0 where a server computes.
    compute, network, disk : float
        Seconds that each would take if there were nothing else, on all nodes together; the
        network at least what the first node takes to receive what was decided.
    alone : float
        Seconds of what the first node then does by itself, on one core; of a set method, the
        choice from what the nodes chose, on all of its cores.
    network_bytes, disk_bytes : float
        Moved between nodes and the pool's place; written to and read from disks.
    memory_bytes : float
        A node's, with a process on each core.
    gathered_bytes : float
        What the first node holds of all rows, in memory or in mapped files.
    exponent, error : float
        How the cost grows with the rows: a power, and its standard error.
    sizes, seconds_measured : tuple of float
        Rows and seconds of one core that this comes from.
    rows_a_second : float
        Of one core here, once it has started.
    tokens : int
    money : float or None
        US dollars; None where a server's prices are not known.
    served : bool
        Whether a server would answer, whose time nobody knows here.
    """

    number: int
    method: str
    kind: str
    rows: int
    kept: int
    row_bytes: float
    core_seconds: float
    compute: float
    network: float
    disk: float
    alone: float
    network_bytes: float
    disk_bytes: float
    memory_bytes: float
    gathered_bytes: float
    exponent: float
    error: float
    sizes: tuple[float, ...]
    seconds_measured: tuple[float, ...]
    rows_a_second: float
    tokens: int
    money: float | None
    served: bool

    @property
    def shared(self) -> float:
        """The slowest of what goes on at the same time."""
        return max(self.compute, self.network, self.disk)

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.shared + self.alone

    @property
    def parts(self) -> dict[str, float]:
        """Seconds by what they are bound by."""
        slowest = max(("compute", "network", "disk"), key=lambda part: float(getattr(self, part)))
        return {slowest: self.shared, "the first node": self.alone}

    @property
    def bottleneck(self) -> str:
        """What takes longest."""
        return max(self.parts, key=lambda part: self.parts[part])


@dataclass(frozen=True)
class ScaledPlan:
    """What a recipe would take on a cluster.

    Attributes
    ----------
    recipe : str
    rows, sample_rows : int
    cluster : Cluster
    troubles : Troubles
    steps : tuple of ScaledStep
    """

    recipe: str
    rows: int
    sample_rows: int
    cluster: Cluster
    troubles: Troubles
    steps: tuple[ScaledStep, ...]

    @property
    def seconds(self) -> float:
        """Seconds of all steps where nothing goes wrong."""
        return sum(step.seconds for step in self.steps)

    @property
    def bottleneck(self) -> str:
        """What most of that time goes to."""
        spent: dict[str, float] = {}
        for step in self.steps:
            for part, seconds in step.parts.items():
                spent[part] = spent.get(part, 0.0) + seconds
        return max(spent, key=lambda part: spent[part])

    @property
    def memory_bytes(self) -> float:
        """What a node holds at most."""
        return max(step.memory_bytes for step in self.steps)

    @property
    def money(self) -> float | None:
        """US dollars for models; None where a server's prices are not known."""
        prices = [step.money for step in self.steps]
        return None if None in prices else float(sum(price or 0.0 for price in prices))

    @cached_property
    def expected(self) -> tuple[float, float, float]:
        """Seconds with slow machines and failures: the median of some runs, least and most."""
        runs = [
            sum(
                simulate(
                    _tasks(step, self.cluster),
                    nodes=self.cluster.nodes,
                    slots=1 if step.kind == "sets" else self.cluster.cores,
                    troubles=self.troubles,
                    seed=len(self.steps) * draw + number,
                ).seconds
                + step.alone
                for number, step in enumerate(self.steps)
            )
            for draw in range(DRAWS)
        ]
        return median(runs), min(runs), max(runs)


def scaled_plan(
    recipe: Recipe,
    pool: Dataset,
    rows: int,
    cluster: Cluster,
    troubles: Troubles | None = None,
) -> ScaledPlan:
    """Return what `recipe` would take for `rows` rows like those of `pool`, on `cluster`.

    Parameters
    ----------
    recipe : Recipe
    pool : Dataset
        A sample, of which a minute's worth is tried.
    rows : int
    cluster : Cluster
    troubles : Troubles, optional

    Notes
    -----
    Time is carried over in proportion to the rows, or by a fitted power that surely is above
    1. The share of duplicates grows with a pool, so more may be dropped than is said.

    Raises
    ------
    RecipeError
        If the recipe makes its pool.
    DataError
        If the sample has too few rows.
    """
    if recipe.generate is not None:
        raise RecipeError(
            f"{recipe.name}: its pool is not made yet, and only a model knows what it will be; "
            "plan the steps on a sample of what it made"
        )
    found = measured(planned_steps(recipe, pool), pool)
    steps = tuple(_steps(found, rows, cluster))
    return ScaledPlan(recipe.name, rows, len(pool), cluster, troubles or Troubles(), steps)


def _steps(found: Sequence[Growth], rows: int, cluster: Cluster) -> Iterator[ScaledStep]:
    for growth in found:
        step = _step(growth, rows, cluster)
        yield step
        rows = step.kept
        if rows == 0:
            return


def _step(growth: Growth, rows: int, cluster: Cluster) -> ScaledStep:
    kind, kept, tally = _kind(growth), growth.kept(rows), growth.trial.tally
    finalists = min(rows, cluster.nodes * kept) if kind == "sets" else 0
    shared, alone = _core_seconds(growth, rows, finalists, cluster.nodes)
    shuffled = rows * _shuffled_bytes(growth) * (cluster.nodes - 1) / cluster.nodes
    moved = rows * (growth.row_bytes + growth.held_bytes) + shuffled
    moved += finalists * growth.stored_bytes
    on_disk = rows * growth.stored_bytes + 2 * shuffled  # written when received, and read once
    more = rows / growth.trial.seen
    vectors = growth.stored_bytes * rows / cluster.nodes if kind == "sets" else 0.0
    exact = 0.0 if kind == "sets" or _rowwise(growth) else growth.stored_bytes
    fit = growth.fit
    return ScaledStep(
        number=growth.step.number,
        method=growth.step.selector.name,
        kind=kind,
        rows=rows,
        kept=kept,
        row_bytes=growth.row_bytes,
        core_seconds=shared + alone,
        compute=shared / (cluster.nodes * cluster.cores),
        network=max(moved / cluster.nodes, rows * (growth.held_bytes + exact)) / cluster.network,
        disk=on_disk / (cluster.nodes * cluster.disk),
        alone=alone / (cluster.cores if kind == "sets" else 1),
        network_bytes=moved,
        disk_bytes=on_disk,
        memory_bytes=cluster.cores * peak_bytes() + vectors,
        gathered_bytes=rows * (growth.held_bytes + exact),
        exponent=fit.exponent if fit else np.nan,
        error=fit.error if fit else np.nan,
        sizes=fit.rows if fit else (),
        seconds_measured=fit.seconds if fit else (),
        rows_a_second=1 / fit.each if fit else np.nan,
        tokens=round((tally.read + tally.written) * more),
        money=tally.money and tally.money * more,
        served=fit is None,
    )


def _core_seconds(growth: Growth, rows: int, finalists: int, nodes: int) -> tuple[float, float]:
    """Return the seconds of one core that all nodes share, and those that one node has alone."""
    if growth.fit is None or growth.shared is None or growth.alone is None:
        return 0.0, 0.0
    if not finalists:
        return growth.shared.at(rows), growth.alone.at(rows)
    return nodes * growth.fit.at(rows / nodes), growth.fit.at(finalists) if nodes > 1 else 0.0


def _kind(growth: Growth) -> str:
    selector = growth.step.selector
    if isinstance(selector, Deduplicate):
        return "bands"
    return "sets" if getattr(selector, "shards", None) else "rows"


def _rowwise(growth: Growth) -> bool:
    """Return whether no row's vector is needed beside another's."""
    return isinstance(growth.step.selector, Scorer | Deduplicate)


def _shuffled_bytes(growth: Growth) -> float:
    """Return the bytes of a row that go wherever those alike are: keys, and vectors."""
    selector = growth.step.selector
    if not isinstance(selector, Deduplicate):
        return 0.0
    keys = 1  # of the whole text
    if selector.near is not None:
        keys += selector.bands or minhash.bands_for(selector.near, selector.recall)[0]
    return keys * KEY_BYTES + growth.stored_bytes


def _tasks(step: ScaledStep, cluster: Cluster) -> list[float]:
    """Return the seconds of each task of a step, on a slot of its own."""
    slots = cluster.nodes * (1 if step.kind == "sets" else cluster.cores)
    if step.kind == "sets":
        tasks = cluster.nodes
    else:
        tasks = min(max(TURNS * slots, -(-step.rows // TASK_ROWS)), max(MOST_TASKS, slots))
    return [step.shared * slots / tasks] * tasks
