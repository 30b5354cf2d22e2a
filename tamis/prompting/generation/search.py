"""A search for an instruction: what it found, how it came there, in a file and in a plot."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from tamis.data.files import home, written_aside
from tamis.models.metered import Spent

__all__ = ["Search", "Trial", "best_of"]


@dataclass(frozen=True)
class Trial:
    """An instruction that was tried.

    Attributes
    ----------
    step : int
        0 for the first ones.
    instruction : str
    score : float
        Mean over the examples it was tried on; NaN where a limit stopped that.
    examples : int
        How many those were.
    origin : str
        What it came from: 'given', 'induced', 'variation' or 'history'.
    """

    step: int
    instruction: str
    score: float
    examples: int
    origin: str


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes
    ----------
    method : str
        'induce' or 'optimize'.
    instruction : str
        The best, by its score on as many examples as any had.
    score : float
        On the examples that decided; higher is better.
    test, baseline : float
        Of the best, and of what it began from (no instruction, or the first given), on
        examples that nobody saw; NaN where a limit stopped before.
    trials : tuple of Trial
        Everything that was tried, in order.
    spent : Spent
    ended : str
    key : str
        The folder of the search, in `generated/`.
    """

    method: str
    instruction: str
    score: float
    test: float
    baseline: float
    trials: tuple[Trial, ...]
    spent: Spent = field(repr=False)
    ended: str
    key: str = field(repr=False)

    @property
    def trajectory(self) -> Dataset:
        """Everything that was tried: search, method, step, instruction, score, …, best.

        `best` is the highest score so far among trials on as many examples.
        """
        scores = np.array([trial.score for trial in self.trials])
        best = np.empty(len(scores))
        reached: dict[int, float] = {}
        for i, trial in enumerate(self.trials):
            best[i] = np.fmax(reached.get(trial.examples, np.nan), scores[i])
            reached[trial.examples] = float(best[i])
        rows = [asdict(trial) for trial in self.trials]
        table = pa.Table.from_pylist(rows).append_column("best", pa.array(best))
        for name in ("method", "search"):
            value = self.method if name == "method" else self.key
            table = table.add_column(0, name, pa.array([value] * table.num_rows, pa.string()))
        return Dataset(table)

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return home() / "generated" / self.key

    def save(self) -> None:
        """Write trajectory.parquet, where the catalogue looks, trajectory.svg and search.json."""
        with written_aside(self.folder / "trajectory.parquet") as aside:
            pq.write_table(self.trajectory.data.table, aside)
        facts = {name: value for name, value in asdict(self).items() if name != "trials"}
        with written_aside(self.folder / "search.json") as aside:
            aside.write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
        self.plot(self.folder / "trajectory.svg")

    def plot(self, path: str | Path) -> Path:
        """Draw score by step to a file (.svg, .png or .pdf): every trial, and the best so far.

        Only trials on as many examples as the best had are shown; no text of a model is.
        """
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        most = max(trial.examples for trial in self.trials)
        shown = [trial for trial in self.trials if trial.examples == most]
        steps = np.array([trial.step for trial in shown])
        scores = np.array([trial.score for trial in shown])
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        axes.plot(steps, scores, "o", color="#7a8793", alpha=0.6, label="tried")
        best = np.fmax.accumulate(scores)
        axes.step(steps, best, where="post", color="#1f6f5c", label="best so far")
        axes.set_xlabel("step")
        axes.set_ylabel(f"score on {most} examples")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, loc="lower right")
        axes.spines[["top", "right"]].set_visible(False)
        path = Path(path)
        with written_aside(path) as aside:
            figure.savefig(aside, format=path.suffix[1:])
        return path


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the best of the trials on most examples, the first of equals; None for none."""
    scored = [trial for trial in trials if not np.isnan(trial.score)]
    most = max((trial.examples for trial in scored), default=0)
    found = [trial for trial in scored if trial.examples == most]
    return max(found, key=lambda trial: trial.score, default=None)
