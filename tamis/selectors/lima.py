"""LIMA: a thousand good answers, shared out among sources; the paper's rules, made a method."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.data import formats
from tamis.data.scratch import roomy, roomy_texts
from tamis.errors import DataError, SettingError, did_you_mean
from tamis.kernels.draws import uniforms
from tamis.kernels.ordering import blocks, descending, ordered
from tamis.selectors.pickers import shared_top_k
from tamis.selectors.rules import Rule, RuleScorer, Signals
from tamis.selectors.selection import Selection, one_reason, say_kept, shared

__all__ = ["LIMA", "RULES"]

_THOUSAND = 1000  # examples in the paper's set
_ALL = "the pool"  # the source of rows that name none

_FIRST_PERSON = r"\b(?:I|[Mm]y)\b"
_REFERS = r"(?i)\bas mentioned\b|\bstack ?exchange\b|\b(?:other|another|previous) answers?\b"
_TAGS = "a|b|i|u|p|br|hr|h[1-6]|em|strong|span|div|img|table|t[rdh]|font|center|sup|sub|iframe"
_MARKUP = rf"(?i)https?://|!?\[[^\]\n]*\]\([^)\n]+\)|</?(?:{_TAGS})\b[^<>\n]*>"


RULES = (
    Rule("min_characters", "characters", True,
         "answer of {figure:,} characters, fewer than {limit:,}"),
    Rule("max_characters", "characters", False,
         "answer of {figure:,} characters, more than {limit:,}"),
    Rule("first_person", "first_person", False, "answer in the first person"),
    Rule("refers", "refers", False, "answer refers to other answers"),
    Rule("markup", "markup", False, "answer holds links, images or HTML"),
    Rule("min_votes", "votes", True, "{figure:g} votes, fewer than {limit:g}"),
)  # fmt: skip
"""The rules in the order in which they are tried; the first that fails is a row's reason."""


@dataclass(kw_only=True, repr=False)
class LIMA(RuleScorer):
    """Keep a few good answers from every source: the rules by which LIMA's thousand was made.

    The score of an example is the share of the rules that its answer passes. Within a source
    the highest score comes first, then the most votes, then a draw; sources take turns.

    *Answer* below is the response, or plain text.

    Parameters
    ----------
    quotas : mapping of str to number, optional
        What each source gets: how many rows at most (int, as the paper's 200), or what share
        of `k` (float). Other sources get none. By default every source gets a share in
        proportion to (its rows) ** (1 / `temperature`).
    temperature : float
        1 is in proportion; the paper's 3 lets small sources be seen.
    source : str, optional
        Column that says where a row is from. By default source, domain or dataset, the first
        that is there; without one the pool is a single source.
    votes : str, optional
        Column with an answer's votes.
    min_votes : float
        Counts where there are `votes`.
    min_characters, max_characters : int or None
        Of the answer.
    first_person : bool
        No answer says 'I' or 'my'.
    refers : bool
        No answer speaks of other answers ('as mentioned', 'Stack Exchange').
    markup : bool
        No answer holds links, images or HTML, code and lists aside. (The paper takes them
        out, where tamis changes no row.)
    strict : bool
        Drop each answer that fails a rule, as the paper does. By default these come last,
        so that `k` is met.
    seed : int
        Of the draw.

    Notes
    -----
    Signals: the number behind each rule; `failed`, the first rule that fails; `source`;
    `place`, the row's place in its source, 1 for the best. Without `k`: as many as `quotas`
    of whole numbers add up to, else 1,000, or all of a smaller pool.

    The paper's rules are for Stack Exchange; its other sources were chosen by hand. How its
    temperature is meant is our reading. Its set: Stack Exchange 400, wikiHow 200, the authors'
    own prompts 200, r/WritingPrompts 150, Natural Instructions 50.

    See Also
    --------
    Clean : drops what is broken, which this takes for granted.
    Deduplicate : before this, for the paper's diversity of prompts.

    References
    ----------
    Zhou et al., arXiv 2305.11206, section 2.
    """

    name: ClassVar[str] = "lima"
    rules: ClassVar[tuple[Rule, ...]] = RULES
    needs_k: ClassVar[bool] = False
    quotas: Mapping[str, float] | None = None
    temperature: float = 3.0
    source: str | None = None
    votes: str | None = None
    min_votes: float = 10
    min_characters: int | None = 1200
    max_characters: int | None = 4096
    first_person: bool = True
    refers: bool = True
    markup: bool = True
    strict: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise SettingError(f"LIMA: temperature={self.temperature}; give one above 0")
        if self.quotas is not None:
            _check_quotas(self.quotas)

    def fit(self, pool: Dataset) -> Self:
        """Return self: a rule looks at one row."""
        for column in (self.source, self.votes):
            if column is not None and column not in pool.column_names:
                raise DataError(
                    f"LIMA: no column '{column}'; {did_you_mean(column, pool.column_names)}"
                )
        return self

    def measure(self, batch: pa.Table) -> dict[str, npt.NDArray[Any]]:
        """Return the number behind each rule, and the source, of each row."""
        read = formats.fields(batch)
        answer = read.text if formats.of(batch).name == "text" else read.response
        signals = {
            "characters": pc.utf8_length(answer),
            "first_person": pc.match_substring_regex(answer, _FIRST_PERSON),
            "refers": pc.match_substring_regex(answer, _REFERS),
            "markup": pc.match_substring_regex(answer, _MARKUP),
        }
        if self.votes is not None:
            signals["votes"] = _numbers(batch, self.votes)
        found = {name: np.asarray(column) for name, column in signals.items()}
        return found | {"failed": self._failed(found), "source": self._sources(batch)}

    def _pick(
        self,
        ids: npt.NDArray[np.void],
        signals: Signals,
        scores: npt.NDArray[np.float64],
        k: int | None,
    ) -> Selection:
        names, groups = _grouped(signals["source"])
        weights = self._weights(names, np.bincount(groups))
        places = self._places(ids, signals, scores, groups)
        ranks = roomy((len(ids),), np.int64)
        for rows in blocks(len(ids)):
            able = (scores[rows] == 1) | (not self.strict)
            if self._counted:
                able &= places[rows] <= weights[groups[rows]]
            ranks[rows] = np.where(able, places[rows] - 1, -1)
        indices = shared_top_k(ranks, groups, weights, ids, self._wanted(k, len(ids)))

        kept = np.bincount(groups[indices], minlength=len(names))
        over = [_over(*source) for source in zip(names, weights, kept, strict=True)]
        reasons = self._reasons(signals, groups, over)
        say_kept(reasons, indices)
        told = {
            name: roomy_texts(column) if column.dtype == object else column
            for name, column in signals.items()
        }
        return Selection(indices, scores, reasons, pa.table(told | {"place": places}))

    def _reasons(
        self, signals: Signals, groups: npt.NDArray[np.int64], over: list[str]
    ) -> npt.NDArray[np.object_]:
        """Return the rule that each row fails, the quota it is over, or both."""
        reasons, known = np.empty(len(groups), object), dict[str, str]()
        for rows in blocks(len(groups)):
            some = {name: values[rows] for name, values in signals.items()}
            said = pa.array(self._said(some, some["failed"]), pa.string()).dictionary_encode()
            rules, fails = said.dictionary.to_pylist(), said.indices.to_numpy().astype(np.int64)
            both, which = np.unique(fails * len(over) + groups[rows], return_inverse=True)
            texts = [self._reason(rules[one // len(over)], over[one % len(over)]) for one in both]
            reasons[rows] = np.array(shared(texts, known), object)[which]
        return reasons

    def _reason(self, said: str, over: str) -> str:
        if not said:
            return over
        return said if self.strict else f"{over}; {said}"

    def _places(
        self,
        ids: npt.NDArray[np.void],
        signals: Signals,
        scores: npt.NDArray[np.float64],
        groups: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Return the place of each row in its source, 1 for the best."""
        draws = uniforms(ids, self.seed, roomy).view(np.uint64)  # above 0 they order as their bits

        def keys(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
            columns = [groups[rows].astype(np.uint64), descending(scores[rows])]
            if "votes" in signals:
                votes = np.nan_to_num(signals["votes"][rows], nan=-np.inf)
                columns.append(descending(votes))
            return np.vstack([*columns, draws[rows]])

        order = ordered(np.ones(len(ids), bool), keys, roomy)
        sizes = np.bincount(groups)
        before = np.cumsum(sizes) - sizes
        places = roomy((len(ids),), np.int64)
        for some in blocks(len(order)):
            rows = order[some]
            places[rows] = np.arange(some.start, some.stop) - before[groups[rows]] + 1
        return places

    def _weights(
        self, names: npt.NDArray[np.str_], counts: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        if self.quotas is None:
            return np.asarray(counts ** (1 / self.temperature))
        return np.array([self.quotas.get(str(name), 0) for name in names], np.float64)

    def _wanted(self, k: int | None, n: int) -> int:
        if k is not None:
            return k
        if self.quotas is not None and self._counted:
            return int(sum(self.quotas.values()))
        return min(_THOUSAND, n)

    @property
    def _counted(self) -> bool:
        """Whether quotas are numbers of rows."""
        return self.quotas is not None and isinstance(next(iter(self.quotas.values())), int)

    def _in_use(self) -> list[tuple[Rule, float]]:
        in_use = super()._in_use()
        return [(rule, limit) for rule, limit in in_use if rule.signal != "votes" or self.votes]

    def _sources(self, batch: pa.Table) -> npt.NDArray[np.object_]:
        if self.source is not None:
            found = formats.texts(batch[self.source], self.source)
        else:
            found = formats.sources(batch)
        if found is None:
            return one_reason(batch.num_rows, _ALL)
        coded = found.dictionary_encode()  # or each row has a text of its own
        names = np.array(coded.dictionary.to_pylist(), object)
        return names[coded.indices.to_numpy()]  # type: ignore[no-any-return]


def _grouped(
    sources: npt.NDArray[np.object_],
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.int64]]:
    """Return the names of all sources, in order, and the number of each row's."""
    known, groups = dict[str, int](), roomy((len(sources),), np.int64)
    for rows in blocks(len(sources)):
        coded = pa.array(sources[rows], pa.large_string()).dictionary_encode()
        numbers = [known.setdefault(name, len(known)) for name in coded.dictionary.to_pylist()]
        groups[rows] = np.array(numbers)[coded.indices.to_numpy()]
    names = np.array([*known])
    place = np.argsort(np.argsort(names))
    for rows in blocks(len(sources)):
        groups[rows] = place[groups[rows]]
    return np.sort(names), groups


def _over(source: str, weight: float, kept: int) -> str:
    source = source or "rows that name no source"
    if not weight:
        return f"no quota for {source}"
    return f"over quota of {source}: {kept:,} kept"


def _numbers(batch: pa.Table, name: str) -> pa.Array:
    try:
        return batch[name].combine_chunks().cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"LIMA: votes='{name}' is {batch[name].type}; give a column of numbers"
        ) from error


def _check_quotas(quotas: Mapping[str, float]) -> None:
    counted = {isinstance(quota, int) for quota in quotas.values()}
    if len(counted) != 1 or min(quotas.values()) < 0 or not sum(quotas.values()) > 0:
        raise SettingError(
            f"LIMA: quotas={dict(quotas)}; give numbers of rows (int) or shares of k (float), "
            "all of one kind, none below 0, and one above"
        )
