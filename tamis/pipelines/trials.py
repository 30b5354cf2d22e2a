"""Trials of a comparison: a method picks, a proxy is trained on the pick and examined.

Each is done once. A pick's key is a digest of all that it depends on: the pool's content and
the rows that may be picked, the method's settings (its target's content among them), the
budget, and tamis' own code. A trial's key adds the proxy, the held-out examples and the seed
of the training. Files lie in `picks/` and `trials/`, written aside and renamed: what is there
is done, in this comparison or in another.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from tamis.data.files import home, written_aside
from tamis.data.ids import example_ids
from tamis.errors import ModelError
from tamis.kernels.threads import give_back
from tamis.models.account import counting
from tamis.models.fingerprint import digest
from tamis.models.proxies import Proxy, Task
from tamis.pipelines.steps import code_digest
from tamis.selectors.base import Selector

__all__ = [
    "UNTRAINED",
    "WHOLE",
    "Amount",
    "Bench",
    "Pick",
    "Trial",
    "Turn",
    "make_pick",
    "run_trial",
]

UNTRAINED, WHOLE = "untrained", "whole pool"

Unit = Literal["rows", "tokens"]


@dataclass(frozen=True, order=True)
class Amount:
    """How much may be picked."""

    count: int
    unit: Unit = "rows"

    def __str__(self) -> str:
        return f"{self.count:,} {self.unit}"


@dataclass(frozen=True, eq=False)
class Bench:
    """What all trials of a comparison share.

    Attributes
    ----------
    pool : Dataset
        The rows that may be picked.
    pool_key : str
        Tells them.
    task : Task
        The held-out examples.
    proxy : Proxy
    """

    pool: Dataset
    pool_key: str
    task: Task
    proxy: Proxy

    @cached_property
    def key(self) -> str:
        """Tells all of it."""
        examples = np.sort(example_ids(self.task.examples)).tobytes().hex()
        return digest(
            code_digest(), self.pool_key, examples, self.task.whole, self.proxy.fingerprint
        )


@dataclass(frozen=True, eq=False)
class Turn:
    """One trial to be done.

    Attributes
    ----------
    method : str
        What the table calls it.
    seed : int
        Of the method's draws and of the training.
    amount : Amount
    make : function of a seed, optional
        Returns the selector; without one, nothing is picked, or the whole pool.
    """

    method: str
    seed: int
    amount: Amount
    make: Callable[[int], Selector] | None = None

    def __str__(self) -> str:
        return f"{self.method}, seed {self.seed}, {self.amount}"

    @cached_property
    def selector(self) -> Selector | None:
        """The method, as this seed makes it."""
        return None if self.make is None else self.make(self.seed)

    def pick_key(self, bench: Bench) -> str:
        """Tell what is picked."""
        how = self.method if self.selector is None else self.selector.name
        settings = None if self.selector is None else self.selector.settings()
        return digest(code_digest(), bench.pool_key, how, settings, str(self.amount))

    def pick_path(self, bench: Bench) -> Path:
        """Return where the pick lies once it is made."""
        return home() / "picks" / f"{self.pick_key(bench)}.parquet"

    def key(self, bench: Bench) -> str:
        """Tell what is found."""
        return digest(self.pick_key(bench), bench.key, self.seed)

    def path(self, bench: Bench) -> Path:
        """Return where the trial lies once it is done."""
        return home() / "trials" / f"{self.key(bench)}.parquet"


@dataclass(frozen=True, eq=False)
class Pick:
    """What a method picked, and what that took.

    Attributes
    ----------
    positions : int64 array of shape (k,)
        In the bench's pool, best first.
    seconds : float
    rows_scored : int
    tokens_read : int
        Through models; less where their answers were kept from before.
    """

    positions: npt.NDArray[np.int64]
    seconds: float
    rows_scored: int
    tokens_read: int


@dataclass(frozen=True, eq=False)
class Trial:
    """What a proxy made of the held-out examples, trained on one pick.

    Attributes
    ----------
    method, seed, amount
        As in its `Turn`.
    positions : int64 array
        Which rows of the bench's pool it was trained on, best first.
    nats, weights : float64 arrays of shape (e,)
        Loss of each held-out example, summed over its tokens, and their number.
    right : float64 array of shape (e,), optional
        1 where the proxy chose the right label, 0 where not.
    tokens : int
        In the picked rows.
    select_seconds, train_seconds : float
    rows_scored, tokens_read : int
        For the selection.
    """

    method: str
    seed: int
    amount: Amount
    positions: npt.NDArray[np.int64]
    nats: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64] | None
    tokens: int
    select_seconds: float
    train_seconds: float
    rows_scored: int
    tokens_read: int

    @property
    def loss(self) -> float:
        """Nats a token, over all held-out examples."""
        return float(self.nats.sum() / self.weights.sum())

    @property
    def rows(self) -> int:
        """How many rows it was trained on."""
        return len(self.positions)


def run_trial(turn: Turn, bench: Bench, *, progress: bool = True) -> Trial:
    """Pick, train and examine; what is done already is read.

    Raises
    ------
    TamisError
        If the method fails, or the proxy's loss is no number.
    """
    path = turn.path(bench)
    pick = make_pick(turn, bench)
    if path.exists():
        return _read(path, turn, pick)
    rows = bench.pool.select(pick.positions)
    started = time.perf_counter()
    trained = bench.proxy.trained(rows, whole=bench.task.whole, seed=turn.seed, progress=progress)
    seconds = time.perf_counter() - started
    nats, counted = trained.losses(bench.task)
    if not np.isfinite(nats).all():
        raise ModelError(
            f"{turn}: the loss on held-out example {int(np.argmin(np.isfinite(nats)))} is "
            f"{nats[~np.isfinite(nats)][0]}; try a smaller learning_rate"
        )
    trial = Trial(
        turn.method,
        turn.seed,
        turn.amount,
        pick.positions,
        nats.astype(np.float64),
        counted.astype(np.float64),
        None if bench.task.options is None else _right(bench.task, trained.chosen(bench.task)),
        int(bench.proxy.tokens(rows).sum()) if len(rows) else 0,
        pick.seconds,
        seconds,
        pick.rows_scored,
        pick.tokens_read,
    )
    _write(trial, path)
    del trained
    give_back()
    return trial


def make_pick(turn: Turn, bench: Bench) -> Pick:
    """Pick; what is picked already is read."""
    if turn.selector is None:
        everything = np.arange(len(bench.pool) if turn.method == WHOLE else 0)
        return Pick(everything, 0.0, 0, 0)
    path = turn.pick_path(bench)
    if not path.exists():
        started = time.perf_counter()
        with counting() as account:
            positions = _chosen(turn.selector, bench, turn.amount)
        costs = {
            "seconds": time.perf_counter() - started,
            "rows_scored": len(bench.pool),
            "tokens_read": account.tokens,
        }
        _write_table(pa.table({"position": positions}), costs, path)
    table = pq.read_table(path)
    return Pick(table["position"].to_numpy(), **json.loads(table.schema.metadata[b"tamis"]))


def _chosen(selector: Selector, bench: Bench, amount: Amount) -> npt.NDArray[np.int64]:
    """Return the positions of the picked rows, best first."""
    n = len(bench.pool)
    if amount.unit == "rows":
        return selector.choose(bench.pool, amount.count).indices
    some = bench.pool.select(range(0, n, max(1, n // 500)))
    wanted = amount.count / max(1.0, float(bench.proxy.tokens(some).mean()))
    while True:
        k = min(n, max(1, int(np.ceil(wanted))))
        picked = selector.choose(bench.pool, k).indices
        ends = np.cumsum(bench.proxy.tokens(bench.pool.select(picked)))
        if len(picked) < k or k == n or ends[-1] >= amount.count:
            return picked[: max(1, int(np.searchsorted(ends, amount.count, side="right")))]
        wanted = 1.2 * k * amount.count / ends[-1]


def _right(task: Task, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    said = [some[i] for some, i in zip(task.options or [], chosen, strict=True)]
    return np.array([one == other for one, other in zip(said, task.answers, strict=True)], float)


_FACTS = ("tokens", "select_seconds", "train_seconds", "rows_scored", "tokens_read")


def _write(trial: Trial, path: Path) -> None:
    columns = {"nats": trial.nats, "weight": trial.weights}
    if trial.right is not None:
        columns["right"] = trial.right
    _write_table(pa.table(columns), {name: getattr(trial, name) for name in _FACTS}, path)


def _read(path: Path, turn: Turn, pick: Pick) -> Trial:
    table = pq.read_table(path)
    return Trial(
        turn.method,
        turn.seed,
        turn.amount,
        pick.positions,
        table["nats"].to_numpy(),
        table["weight"].to_numpy(),
        table["right"].to_numpy() if "right" in table.column_names else None,
        **json.loads(table.schema.metadata[b"tamis"]),
    )


def _write_table(table: pa.Table, facts: dict[str, float], path: Path) -> None:
    with written_aside(path) as aside:
        pq.write_table(table.replace_schema_metadata({"tamis": json.dumps(facts)}), aside)
