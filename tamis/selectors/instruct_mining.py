"""InstructMining: a linear rule foretells the loss that a data set would lead to."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.data import formats
from tamis.data.batches import map_batches
from tamis.data.ids import example_ids
from tamis.data.load import Source, load
from tamis.errors import DataError, SettingError, did_you_mean
from tamis.kernels.lexical import mtld
from tamis.kernels.neighbours import search
from tamis.kernels.regression import significant
from tamis.models.base import Embedder, LanguageModel
from tamis.models.cached import CachedLM
from tamis.models.embeddings import points_by_id
from tamis.models.judges import Judge, judge_of, unrated
from tamis.models.losses import lm_of, mean_losses
from tamis.selectors.base import Selector
from tamis.selectors.pickers import top_k
from tamis.selectors.selection import Selection, one_reason, say_kept

__all__ = ["INDICATORS", "RULES", "InstructMining"]

Floats = npt.NDArray[np.float64]
Texts: TypeAlias = pa.LargeStringArray

RULES = {
    "v3": {"constant": 1.0694, "reward": -0.1498, "length": 8.257e-5, "knn_6": -0.9350},
    "v1": {
        "constant": 0.0274,
        "reward": -0.0078,
        "understandability": 0.4421,
        "naturalness": -0.3212,
        "coherence": -0.1520,
    },
}
"""Coefficients of the logarithm of the loss, by the version of the paper."""

INDICATORS = ("length", "reward", "perplexity", "mtld", "knn_6")
"""What a rule is fitted to unless told."""

_WORD = r"[\p{L}\p{M}\p{N}_]+|[^\s\p{L}\p{M}\p{N}_]"


@dataclass(kw_only=True, repr=False)
class InstructMining(Selector):
    """Keep the examples for which a linear rule foretells the lowest loss after tuning.

    The rule adds up indicators of an example, times their coefficients. The score is its
    result with a minus: the logarithm of the loss is foretold, and lower is better.

    Parameters
    ----------
    rule : str or mapping of str to float
        'v3' or 'v1' of the paper, or coefficients by indicator, with a 'constant'; `fit` finds
        them for your models. An indicator is a numeric column of the pool of that name; or
        else one of

        - `reward`: the judge's rating of the response;
        - `length`: words and punctuation marks of the response;
        - `perplexity`: of the response given the prompt, by `lm`;
        - `mtld`: lexical diversity of the response, from ten words on;
        - `knn_i`: distance to the i-th nearest example of the pool; where there are not so
          many, to the farthest.
    judge : Judge or str
        The papers' is 'reward:OpenAssistant/reward-model-deberta-v3-large-v2'.
    embedder : Embedder or str
        Of the whole examples. Distances are Euclidean; the paper's is a Sentence-BERT.
    lm : LanguageModel or str
        Asked only if the rule has a perplexity.

    Notes
    -----
    Signals: every indicator by its name, and `log_loss`, what the rule says. A row that lacks
    one has no score.

    The published coefficients belong to the authors' reward model and embedder. With others
    (the bundled judge rates from 0 to 5, with an end) they rank, but do not foretell: `fit`
    a rule. In 'v3' longer responses are worse, and rows far from others better. The
    indicators of 'v1' but for the reward are UniEval's, which tamis does not compute: bring
    them as columns. How many to keep the paper finds by tuning on the best n of several n;
    see `tamis compare`.

    References
    ----------
    Cao et al., arXiv 2307.06290.
    """

    name: ClassVar[str] = "instruct-mining"
    rule: Mapping[str, float] | str = "v3"
    judge: Judge | str = "bundled"
    embedder: Embedder | str = "bundled"
    lm: LanguageModel | str = "bundled"

    def __post_init__(self) -> None:
        if isinstance(self.rule, str) and self.rule not in RULES:
            raise SettingError(
                f"InstructMining: rule='{self.rule}'; {did_you_mean(self.rule, RULES)}"
            )
        if not set(self._coefficients) - {"constant"}:
            raise SettingError("InstructMining: the rule has no indicator; give one at least")

    def fit(
        self,
        pools: Sequence[Source],
        losses: Sequence[float],
        *,
        indicators: Sequence[str] = INDICATORS,
    ) -> Self:
        """Return a copy with a rule of its own, by least squares.

        Parameters
        ----------
        pools : sequence of Dataset, or of anything `tamis.load` takes
            Data sets of different quality, two more than there are indicators at least.
        losses : sequence of float
            For each, the loss on one fixed set of the model after tuning on it.
        indicators : sequence of str
            What to try. Those stay whose coefficients are two standard errors from 0.

        Raises
        ------
        DataError
            If there are too few data sets, a loss is not above 0, an indicator has no value
            in some set, or none of them tells.
        """
        values = np.asarray(losses, np.float64)
        if len(pools) != len(values) or len(values) < len(indicators) + 2:
            raise DataError(
                f"InstructMining: {len(pools)} pools and {len(values)} losses for "
                f"{len(indicators)} indicators; give as many, {len(indicators) + 2} at least"
            )
        if not (np.isfinite(values) & (values > 0)).all():
            raise DataError("InstructMining: a loss is not above 0; give the losses themselves")
        table = np.array([self._means(load(pool, progress=False), indicators) for pool in pools])
        if np.isnan(table).any():
            number, column = np.argwhere(np.isnan(table))[0]
            raise DataError(
                f"InstructMining: pool {number} has no {indicators[column]} for any row; "
                "leave the pool or the indicator out"
            )
        found = significant(table, np.log(values))
        if not len(found.columns):
            raise DataError("InstructMining: no indicator tells the losses apart; give more pools")
        fitted = copy.copy(self)
        fitted.rule = {"constant": found.constant} | {
            indicators[column]: float(coefficient)
            for column, coefficient in zip(found.columns, found.coefficients, strict=True)
        }
        fitted._given = tuple(dict.fromkeys((*self._given, "rule")))
        return fitted

    @property
    def _coefficients(self) -> Mapping[str, float]:
        return RULES[self.rule] if isinstance(self.rule, str) else self.rule

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        assert k is not None
        rule = self._coefficients
        found = self._measured(pool, [name for name in rule if name != "constant"])
        foretold = np.full(len(pool), rule.get("constant", 0.0))
        reasons = one_reason(len(pool), "a higher loss foretold than for the kept")
        for name, (values, lack) in found.items():
            foretold += rule[name] * values
            reasons = np.where(np.isnan(values), lack, reasons)
        scores = -foretold
        indices = top_k(scores, example_ids(pool), k)
        say_kept(reasons, indices)
        signals = {name: indicator.values for name, indicator in found.items()}
        return Selection(indices, scores, reasons, pa.table({**signals, "log_loss": foretold}))

    def _means(self, pool: Dataset, names: Sequence[str]) -> list[float]:
        """Return the mean of each indicator over the rows that have it; NaN where none has."""
        found = [indicator.values for indicator in self._measured(pool, names).values()]
        return [float(np.nanmean(row)) if np.isfinite(row).any() else np.nan for row in found]

    def _measured(self, pool: Dataset, names: Sequence[str]) -> "dict[str, _Indicator]":
        """Return each indicator of every row."""
        given = [name for name in names if name in pool.column_names]
        for name in set(names) - {*given, *_OF_A_ROW}:
            if not _DISTANCE.fullmatch(name):
                known = [*INDICATORS, *pool.column_names]
                raise SettingError(
                    f"InstructMining: no indicator '{name}'; {did_you_mean(name, known)}"
                )
        alone = [name for name in names if name in given or name in _OF_A_ROW]
        measure = partial(self._of_rows, alone)
        parts = list(map_batches(pool, measure, label="instruct-mining: indicators"))
        return {
            name: _Indicator.joined([part[name] for part in parts])
            if name in alone
            else self._distance(pool, int(name.removeprefix("knn_")))
            for name in names
        }

    def _of_rows(self, names: Sequence[str], batch: pa.Table) -> "dict[str, _Indicator]":
        """Return those indicators that look at a row alone."""
        return {
            name: _numbers(batch[name], name)
            if name in batch.column_names
            else _OF_A_ROW[name](self, *formats.exchange(batch))
            for name in names
        }

    def _reward(self, prompts: Texts, responses: Texts) -> "_Indicator":
        rated = judge_of(self.judge).rate(prompts.to_pylist(), responses.to_pylist())
        return _Indicator(
            rated.scores, np.array([unrated("reward", words) for words in rated.words], object)
        )

    def _length(self, prompts: Texts, responses: Texts) -> "_Indicator":
        words = pc.count_substring_regex(responses, _WORD).to_numpy(zero_copy_only=False)
        return _Indicator.of(
            np.where(words, words.astype(np.float64), np.nan), "no length: the response is empty"
        )

    def _perplexity(self, prompts: Texts, responses: Texts) -> "_Indicator":
        lm = CachedLM(lm_of(self.lm), progress=False)
        before = [f"{prompt}\n" for prompt in prompts.to_pylist()]
        losses = mean_losses(lm, before, responses.to_pylist())
        return _Indicator(np.exp(losses.means), "no perplexity: " + losses.why)

    def _diversity(self, prompts: Texts, responses: Texts) -> "_Indicator":
        values = [mtld(_numbered(text)) for text in responses.to_pylist()]
        return _Indicator.of(np.array(values), "no mtld: fewer than ten words")

    def _distance(self, pool: Dataset, rank: int) -> "_Indicator":
        """Return the distance of each row to its neighbour of this rank, or to the farthest."""
        rows, points = points_by_id(pool, self.embedder)
        _, distance = search(points, points, min(rank + 1, len(points)))  # itself comes first
        found = np.full(len(pool), np.nan)
        found[rows] = distance[:, -1]
        return _Indicator.of(found, f"no knn_{rank}: no embedding")


_OF_A_ROW = {
    "length": InstructMining._length,
    "mtld": InstructMining._diversity,
    "perplexity": InstructMining._perplexity,
    "reward": InstructMining._reward,
}
_DISTANCE = re.compile(r"knn_[1-9][0-9]*")


class _Indicator(NamedTuple):
    """A number for each row, NaN where it has none; and what is then said of it."""

    values: Floats
    lack: npt.NDArray[np.object_]

    @classmethod
    def of(cls, values: Floats, lack: str) -> Self:
        """Say the same of all rows that have no number."""
        return cls(values, one_reason(len(values), lack))

    @classmethod
    def joined(cls, parts: "Sequence[_Indicator]") -> Self:
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _numbers(column: pa.ChunkedArray, name: str) -> _Indicator:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(f"InstructMining: column '{name}' is {kind}; an indicator is a number")
    return _Indicator.of(column.cast(pa.float64()).to_numpy(), f"no {name}: the column has none")


def _numbered(text: str) -> npt.NDArray[np.int64]:
    """Return the number of each word, the same for the same word in lower case."""
    numbers: dict[str, int] = {}
    words = re.findall(r"\w+", text.lower())
    return np.array([numbers.setdefault(word, len(numbers)) for word in words], np.int64)
