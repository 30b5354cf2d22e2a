"""What a report is made from: facts about a run, its pool, and what each step decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from tamis.data.scratch import roomy
from tamis.errors import DataError
from tamis.pipelines.results import Comparison
from tamis.selectors.selection import Selection

__all__ = ["RunView", "StepView"]


@dataclass(frozen=True, eq=False, kw_only=True)
class StepView:
    """One step of a run.

    Attributes
    ----------
    selection : Selection
        Over the rows that the step before kept, in the pool's order.
    settings : str
        The call that made the selection: 'DSIR(target=<80 rows>, seed=0)'.
    seconds : float, optional
        Wall time. None where it is not known.
    reused : bool
        True where an earlier run's result was taken; `seconds` is then what it took there.
    costs : mapping of unit to amount
        What else was measured: {'tokens': 51200, 'USD': 0.02}.
    """

    selection: Selection
    settings: str
    seconds: float | None = None
    reused: bool = False
    costs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class RunView:
    """One run, as its report shows it.

    Attributes
    ----------
    name, run_id, status : str
        The recipe's name, the run's id, and 'done', 'failed', 'running', ….
    started : datetime
    seconds : float, optional
        Wall time of the whole run.
    seed : int, optional
    pool_name : str
        Where the pool came from, as it was given.
    pool_key : str, optional
        Key of the pool's content.
    versions : mapping of package to version
    recipe : str
        The recipe's text.
    command : str
        What a user types to run it again.
    pool : Dataset
    rejected : Dataset
        Rows that could not be read: columns file, line, reason.
    steps : sequence of StepView
        In the order in which they ran.
    error : str, optional
        Why the run failed.
    comparison : Comparison, optional
        Whether what it keeps trains better than random draws.

    Raises
    ------
    DataError
        If a step was not made on the rows that the step before kept.
    """

    name: str
    run_id: str
    status: str
    started: datetime
    seconds: float | None
    seed: int | None
    pool_name: str
    pool_key: str | None
    versions: Mapping[str, str]
    recipe: str
    command: str
    pool: Dataset
    rejected: Dataset
    steps: Sequence[StepView]
    error: str | None = None
    comparison: Comparison | None = None

    def __post_init__(self) -> None:
        given = len(self.pool)
        for number, step in enumerate(self.steps, start=1):
            selection = step.selection
            if len(selection.scores) != given:
                raise DataError(
                    f"report: step {number} ({selection.method}) was made on "
                    f"{len(selection.scores)} rows, but the step before kept {given}; "
                    "give the selections of one run, in their order"
                )
            given = len(selection)

    @cached_property
    def inputs(self) -> list[npt.NDArray[np.int64]]:
        """For each step the positions in the pool of the rows that it saw, ascending."""
        inputs, rows = [], np.arange(len(self.pool))
        for step in self.steps:
            inputs.append(roomy(rows.shape, np.int64))
            inputs[-1][:] = rows
            rows = rows[step.selection.kept]
        return inputs

    @cached_property
    def kept(self) -> npt.NDArray[np.int64]:
        """Positions in the pool of the rows that every step kept, best first."""
        if not self.steps:
            return np.empty(0, np.int64)
        return self.inputs[-1][self.steps[-1].selection.indices]

    @cached_property
    def fates(self) -> npt.NDArray[np.int16]:
        """For every row of the pool the number (from 0) of the step that dropped it.

        A row that every step kept has the number of steps.
        """
        fates = np.full(len(self.pool), len(self.steps), np.int16)
        for number, (rows, step) in enumerate(zip(self.inputs, self.steps, strict=True)):
            fates[rows[~step.selection.kept]] = number
        return fates
