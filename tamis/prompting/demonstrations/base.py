"""What every retriever is to its callers: fitted to a pool, it gives each query its examples."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from tamis.data import formats
from tamis.data.ids import example_ids
from tamis.data.load import Source, load
from tamis.errors import BudgetError, DataError, SettingError
from tamis.kernels.draws import uniforms
from tamis.models.base import Prompt
from tamis.models.fingerprint import seed_of
from tamis.prompting.demonstrations.budget import Room, counter
from tamis.prompting.demonstrations.shots import PLAIN, Example, Shots, Template

__all__ = ["Queries", "Random", "Ranked", "Retriever", "Stock", "texts_of"]

Queries: TypeAlias = Sequence[str] | Source
"""Questions as texts, or a pool whose prompts are the questions."""

Ranked: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]
"""Places in the stock, best first, and a score for each."""

_SPARE = 3  # times k: further examples to try where some are too long for the budget


@dataclass(frozen=True, eq=False)
class Stock:
    """The examples of a pool that can be shown: in the order of their ids, each once.

    Attributes
    ----------
    pool : Dataset
    rows : int64 array of shape (n,)
        Positions in the pool. Rows without prompt or response are left out, and so are
        copies.
    ids : V16 array of shape (n,)
    examples : list of Example
    """

    pool: Dataset
    rows: npt.NDArray[np.int64]
    ids: npt.NDArray[np.void]
    examples: list[Example]
    _copies: Counter[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_copies", Counter(prompt for prompt, _ in self.examples))

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, places: npt.NDArray[np.int64]) -> "Stock":
        """Return the examples at these places alone."""
        some = [self.examples[i] for i in places]
        return Stock(self.pool, self.rows[places], self.ids[places], some)

    def copies(self, queries: Sequence[str]) -> int:
        """Return how many examples have the prompt of a query, at most."""
        return max((self._copies[query] for query in queries), default=0)

    def shots(self, places: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> Shots:
        """Return the examples at these places, in this order."""
        return Shots(tuple(self.examples[i] for i in places), self.rows[places], scores)

    @classmethod
    def of(cls, source: Source) -> "Stock":
        """Read a pool.

        Raises
        ------
        DataError
            If no row has both a prompt and a response.
        """
        pool = load(source, progress=False)
        prompts, responses = (
            column.to_pylist() for column in formats.exchange(pool.with_format("arrow")[:])
        )
        ids, first = np.unique(example_ids(pool), return_index=True)
        whole = np.array([bool(prompts[i] and responses[i]) for i in first], bool)
        if not whole.any():
            raise DataError(
                f"demonstrations: none of {len(pool)} rows has a prompt and a response; "
                "give examples that are solved"
            )
        rows = first[whole]
        return cls(pool, rows, ids[whole], [Example(prompts[i], responses[i]) for i in rows])


@dataclass(kw_only=True)
class Retriever(ABC):
    """Choose examples of a pool to show before a query.

    A method is a keyword-only dataclass of its settings. `fit` looks at the pool, and what
    it learns ends in `_`; `retrieve` then answers for any query. An example with the query's
    own prompt is never shown: it would give the answer away.

    Parameters
    ----------
    best : {'last', 'first'}
        Where the best example stands in the prompt. 'last', next to the query, is usual.
    template : Template
        How examples are put to a model, where one is asked, and how tokens are counted.
    """

    name: ClassVar[str]
    best: Literal["last", "first"] = "last"
    template: Template = PLAIN

    def fit(self, pool: Source) -> Self:
        """Look at the pool: solved examples, in any format but plain text.

        Raises
        ------
        DataError
            If no row has a prompt and a response.
        """
        self.stock_ = Stock.of(pool)
        self._learn(self.stock_)
        return self

    def retrieve(
        self,
        queries: Queries,
        k: int = 8,
        *,
        max_tokens: int | None = None,
        tokenizer: Any = "bundled",  # noqa: ANN401 - a model, or its words
    ) -> list[Shots]:
        """Return the examples to show before each query.

        Parameters
        ----------
        queries : sequence of str, or anything `tamis.load` takes
        k : int
            How many, at most: fewer where there are no more, or the budget ends.
        max_tokens : int, optional
            Of the whole prompt in `template`, the query included. It is never passed, unless
            the query alone does.
        tokenizer : str, LanguageModel or tokenizer
            Of the model that will read the prompt: see `budget.counter`.
        """
        texts = texts_of(queries)
        if not hasattr(self, "stock_"):
            raise SettingError(f"{type(self).__name__}: not fitted; call fit(pool) first")
        if k < 1:
            raise BudgetError(f"{type(self).__name__}: k={k}; give at least 1")
        room = None
        if max_tokens is not None:
            room = Room(max_tokens, counter(tokenizer), self.template, self.best == "last")
        return self._retrieved(texts, k, room)

    def prompts(self, queries: Queries, k: int = 8, **budget: Any) -> list[Prompt]:  # noqa: ANN401
        """Return the rendered prompt of each query; `budget` as in `retrieve`."""
        texts = texts_of(queries)
        found = self.retrieve(texts, k, **budget)
        return [shots.prompt(text, self.template) for shots, text in zip(found, texts, strict=True)]

    @abstractmethod
    def _learn(self, stock: Stock) -> None:
        """Learn what ranking needs."""

    @abstractmethod
    def _ranked(self, queries: Sequence[str], n: int) -> list[Ranked]:
        """Return up to `n` places in the stock for each query."""

    def _spread(self, ranked: Ranked, n: int) -> Ranked:
        """Put others before what repeats them; a method that can overrides this."""
        return ranked

    def _retrieved(self, queries: Sequence[str], k: int, room: Room | None) -> list[Shots]:
        n = k * _SPARE if room else k
        found = self._ranked(queries, min(len(self.stock_), n + self.stock_.copies(queries)))
        return [
            self._shown(query, self._spread(self._others(query, ranked), n), k, room)
            for query, ranked in zip(queries, found, strict=True)
        ]

    def _others(self, query: str, ranked: Ranked) -> Ranked:
        """Leave out what has the query's own prompt."""
        places, scores = ranked
        other = np.array([self.stock_.examples[i].prompt != query for i in places], bool)
        return places[other], scores[other]

    def _shown(self, query: str, ranked: Ranked, k: int, room: Room | None) -> Shots:
        places, scores = ranked
        kept = np.arange(min(k, len(places)))
        if room:
            offered = [self.stock_.examples[i] for i in places]
            kept = np.array(room.fitting(query, offered, k), np.int64)
        if self.best == "last":
            kept = kept[::-1]
        return self.stock_.shots(places[kept], scores[kept])


@dataclass(kw_only=True)
class Random(Retriever):
    """Draw examples at random: the baseline that every method must beat.

    A draw belongs to the query, the example and the seed.
    """

    name: ClassVar[str] = "random"
    seed: int = 0

    def _learn(self, stock: Stock) -> None:
        pass  # there is nothing to learn

    def _ranked(self, queries: Sequence[str], n: int) -> list[Ranked]:
        def drawn(query: str) -> Ranked:
            draws = uniforms(self.stock_.ids, seed_of(self.seed, query))
            places = np.argsort(-draws, kind="stable")[:n]
            return places, draws[places]

        return [drawn(query) for query in queries]


def texts_of(queries: Queries) -> list[str]:
    """Return the queries as texts: of a pool, its prompts.

    Raises
    ------
    SettingError
        If there is one text where a sequence is wanted.
    """
    if isinstance(queries, str):
        raise SettingError(f"queries={queries[:40]!r} is one text; give a list: [query]")
    if isinstance(queries, Sequence) and all(isinstance(query, str) for query in queries):
        return [str(query) for query in queries]
    pool = load(queries, progress=False)
    prompts, _ = formats.exchange(pool.with_format("arrow")[:])
    return [str(prompt) for prompt in prompts.to_pylist()]
