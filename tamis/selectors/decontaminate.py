"""Rows that hold what a benchmark asks go: a model trained on them would know the answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.data import formats
from tamis.data.load import Source, load
from tamis.errors import DataError, SettingError
from tamis.kernels.overlap import known_runs, shared_runs
from tamis.selectors.base import Scorer, recorded_data
from tamis.selectors.pickers import top_k
from tamis.selectors.selection import Selection, one_reason, say_kept

__all__ = ["Decontaminate"]


@dataclass(kw_only=True, repr=False)
class Decontaminate(Scorer):
    """Drop rows that share a run of words with a benchmark.

    Of a benchmark all text counts that `tamis.data.formats` finds: questions, and answers
    where they are beside them. A row's score is the share of its words that are in no run
    that a benchmark has; only rows of score 1 are kept, or of `1 - most`. The reason names
    the benchmark and its row.

    Parameters
    ----------
    against : dict of str to source, or source
        Benchmarks by name: {"gsm8k": "gsm8k.jsonl"}. A file alone is called by its own name.
    ngram : int
        Words in a run, in lower case, punctuation apart.
    shortest : int
        A benchmark's entry of fewer than `ngram` words is one run, if it has this many;
        shorter ones are too common to tell anything.
    most : float
        Share of a row's words that may be in a benchmark's runs.

    References
    ----------
    Brown et al., arXiv 2005.14165, appendix C: runs of 13 words, of 8 for short entries. They
    cut the run out of web pages; an instruction without its middle is none, so the row goes.
    """

    name: ClassVar[str] = "decontaminate"
    needs_k: ClassVar[bool] = False
    against: dict[str, Source] | Source
    ngram: int = 13
    shortest: int = 8
    most: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.ngram:
            raise SettingError(
                f"Decontaminate: shortest={self.shortest}, ngram={self.ngram}; "
                "give 1 <= shortest <= ngram"
            )
        if not 0 <= self.most < 1:
            raise SettingError(f"Decontaminate: most={self.most}; give a share from 0, below 1")

    def settings(self) -> dict[str, Any]:
        """Return every setting by name; benchmarks by the digest of their rows."""
        against = {name: recorded_data(source) for name, source in self._benchmarks().items()}
        return {**super().settings(), "against": against}

    def fit(self, pool: Dataset) -> Self:
        """Learn the runs of the benchmarks."""
        names, texts = [], []
        for name, source in self._benchmarks().items():
            said = formats.fields(load(source, progress=False).with_format("arrow")[:]).text
            if not pc.max(pc.utf8_length(pc.utf8_trim_whitespace(said))).as_py():
                raise DataError(f"Decontaminate: benchmark '{name}' has no text; give one that has")
            names += [f"{name}, row {row}" for row in range(1, len(said) + 1)]
            texts.append(said)
        self.names_ = names
        self.runs_, self.rows_ = known_runs(
            *formats.buffers(pa.concat_arrays(texts)), length=self.ngram, shortest=self.shortest
        )
        return self

    def measure(self, batch: pa.Table) -> dict[str, npt.NDArray[Any]]:
        """Return for each row how many words are shared, of how many, and with which entry."""
        covered, words, first = shared_runs(
            *formats.buffers(formats.fields(batch).text),
            self.runs_,
            length=self.ngram,
            shortest=self.shortest,
        )
        entry = np.append(self.rows_, -1)[first]
        return {"shared_words": covered, "words": words, "entry": entry}

    def score_of(self, signals: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return the share of each row's words that no benchmark has."""
        return np.asarray(1 - signals["shared_words"] / np.maximum(signals["words"], 1))

    def _benchmarks(self) -> dict[str, Source]:
        if isinstance(self.against, dict):
            return self.against
        named = isinstance(self.against, str | Path)
        return {Path(str(self.against)).name if named else "benchmark": self.against}

    def _pick(
        self,
        ids: npt.NDArray[np.void],
        signals: Mapping[str, npt.NDArray[Any]],
        scores: npt.NDArray[np.float64],
        k: int | None,
    ) -> Selection:
        clear = signals["shared_words"] <= self.most * signals["words"]
        indices = top_k(scores, ids, len(scores) if k is None else k, among=clear)
        reasons = one_reason(len(scores), "no room: as good as the kept, later by id")
        for row in np.flatnonzero(~clear):
            where = self.names_[signals["entry"][row]]
            reasons[row] = f"in a benchmark: {signals['shared_words'][row]} words of {where}"
        say_kept(reasons, indices)
        return Selection(indices, scores, reasons, pa.table(dict(signals)))
