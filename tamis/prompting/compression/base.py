"""What a compressor is: settings, and a judgement of what each token of a prompt is worth."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from tamis.prompting.compression.pick import Budget, pick
from tamis.prompting.compression.ranking import Weighed
from tamis.prompting.compression.readers import Reader
from tamis.prompting.compression.result import Compressed
from tamis.prompting.compression.source import Source
from tamis.prompting.compression.structure import named, structured
from tamis.prompting.compression.surprise import Ids, Meter

__all__ = ["Compressor", "Job", "whole_parts"]


@dataclass(frozen=True, eq=False)
class Job:
    """What is asked for: prompts, a budget each, and what must survive.

    Attributes
    ----------
    sources : list of Source
    budgets : list of Budget
    reader : Reader
        Counts for the budget.
    meter : Meter
        Reads for the method.
    keep : tuple of str
        Regular expressions.
    structure : bool
    """

    sources: list[Source]
    budgets: list[Budget]
    reader: Reader
    meter: Meter
    keep: tuple[str, ...] = ()
    structure: bool = False

    def whole(self, source: Source) -> Ids:
        """Return the spans of a prompt that must survive."""
        found = [named(source.text, self.keep)]
        if self.structure:
            found.append(structured(source.text))
        spans = np.concatenate(found)
        order = np.argsort(spans[:, 0], kind="stable")
        return spans[order]


@dataclass(kw_only=True, repr=False)
class Compressor(ABC):
    """A method of compressing prompts: its settings, and nothing else.

    A method writes `_weigh`. What all of them promise (the budget, what survives, where a
    text may be cut) is kept for them in `pick`.

    Attributes
    ----------
    name : str
        What the method is called in `compress(method=…)`.
    splits : bool
        Whether a single prompt is taken as one document a paragraph.
    """

    name: ClassVar[str]
    splits: ClassVar[bool] = False

    def __repr__(self) -> str:
        told = [
            f"{setting.name}={getattr(self, setting.name)!r}"
            for setting in fields(self)
            if getattr(self, setting.name) != setting.default
        ]
        return f"{type(self).__name__}({', '.join(told)})"

    def reader(self, meter: Meter) -> Reader:
        """Return what counts where the caller names no tokenizer: the compressing model."""
        return meter

    def compress(self, job: Job) -> list[Compressed]:
        """Return each source compressed to its budget."""
        weighed = self._weigh(job)
        return [
            pick(source, one, budget, job.reader, job.whole(source), self.name)
            for source, one, budget in zip(job.sources, weighed, job.budgets, strict=True)
        ]

    @abstractmethod
    def _weigh(self, job: Job) -> list[Weighed]:
        """Return what each token of each source is worth."""


def whole_parts(source: Source) -> dict[str, Any]:
    """Return the fields of a `Weighed` that lets all words compete, in their order."""
    return {
        "regions": np.array([(0, len(source.text))], np.int64),
        "pools": np.zeros(1, np.int64),
        "shares": np.ones(1),
        "order": tuple(range(len(source.parts))),
    }
