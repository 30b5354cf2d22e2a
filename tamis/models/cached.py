"""Models that never compute the same thing twice.

What a model says is kept in the feature store, by the content of what it was asked and
the model's fingerprint. A second call costs a look; a killed run goes on where it was; of
requests that a server answered in part, the answered ones are kept.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from itertools import chain, repeat
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data.batches import current_engine
from tamis.data.features import FeatureStore, Shelf, Values
from tamis.data.formats import fields
from tamis.data.ids import example_ids
from tamis.models.base import (
    Embedder,
    Generation,
    IncompleteError,
    LanguageModel,
    Prompt,
    TokenLogprobs,
)
from tamis.models.fingerprint import digest
from tamis.models.tally import may_ask

__all__ = ["CachedEmbedder", "CachedLM", "embeddings", "request_ids"]

T = TypeVar("T")

Ids = npt.NDArray[np.void]
Rows = npt.NDArray[np.int64]

_FLUSH_SECONDS = 5.0  # of work that a killed run can lose
_TOGETHER = 4096  # rows that a process embeds at a time
_REQUESTS = 256  # that a model is given at once, unless it has a number of its own
_UNSCORED = TokenLogprobs(
    "", np.empty((0, 2), np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
)


class _Kept:
    """Shelves, opened once a thread."""

    def __init__(self, store: FeatureStore | None, progress: bool) -> None:
        self.store = store or FeatureStore()
        self.progress = progress
        self._open = threading.local()

    def __reduce__(self) -> tuple[type["_Kept"], tuple[FeatureStore, bool]]:
        """Open the shelves again in another process."""
        return _Kept, (self.store, self.progress)

    def shelf(self, feature: str, model: str) -> Shelf:
        shelves: dict[tuple[str, str], Shelf] = vars(self._open).setdefault("shelves", {})
        if (feature, model) not in shelves:
            shelves[feature, model] = self.store.open(feature, model)
        return shelves[feature, model]

    def fill(
        self,
        shelf: Shelf,
        ids: Ids,
        ask: Callable[[Rows], Sequence[T]],
        store: Callable[[Sequence[T]], Values],
        together: int,
    ) -> None:
        """Ask for what the shelf lacks; keep what came, even of a call that failed in part."""

        def compute(rows: Rows) -> Values:
            try:
                return store(ask(rows))
            except IncompleteError as error:
                held = {i: said for i, said in enumerate(error.answers) if said is not None}
                if held:
                    shelf.put(ids[rows[[*held]]], store([*held.values()]))
                raise _in_the_call(error, rows, len(ids)) from error

        shelf.fill(
            ids,
            compute,
            batch_rows=together,
            flush_seconds=_FLUSH_SECONDS,
            progress=self.progress,
        )


class CachedLM:
    """A language model whose answers are kept.

    Parameters
    ----------
    lm : LanguageModel
    store : FeatureStore, optional
        Default: the one in `TAMIS_HOME`.
    progress : bool
        Draw a bar on stderr, when that is a terminal.
    """

    def __init__(
        self, lm: LanguageModel, *, store: FeatureStore | None = None, progress: bool = True
    ) -> None:
        self.lm = lm
        self._kept = _Kept(store, progress)

    def __repr__(self) -> str:
        return f"CachedLM({self.lm!r})"

    @property
    def fingerprint(self) -> str:
        """That of the model."""
        return self.lm.fingerprint

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[str] | None = None
    ) -> list[TokenLogprobs]:
        """As `LanguageModel.logprobs`; 16 bytes a token are kept. `losses` keeps 16 a text."""
        if not may_ask(self.lm, prompts, continuations):
            return [_UNSCORED] * len(prompts)
        ids = request_ids(prompts, continuations)
        shelf = self._kept.shelf("logprobs", self.fingerprint)
        self._fill(shelf, ids, self._scores(prompts, continuations), _as_structs)
        return [_scored(value) for value in shelf.get(ids)]

    def losses(
        self, prompts: Sequence[Prompt], continuations: Sequence[str] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return sum and number of each text's log-probabilities: float64 of shape (n, 2).

        The sum is NaN, and the number 0, where no token has a probability. Their ratio,
        with the sign changed, is the mean negative log-likelihood of a token.
        """
        if not may_ask(self.lm, prompts, continuations):
            return _as_sums([_UNSCORED] * len(prompts))
        ids = request_ids(prompts, continuations)
        shelf = self._kept.shelf("losses", self.fingerprint)
        self._fill(shelf, ids, self._scores(prompts, continuations), _as_sums)
        return shelf.numbers(ids) if len(ids) else np.empty((0, 2))

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        stop: Sequence[str] | str | None = None,
        schema: Mapping[str, Any] | None = None,
        n: int = 1,
        seed: int = 0,
    ) -> list[Generation]:
        """As `LanguageModel.generate`."""
        if not may_ask(self.lm, prompts, max_tokens=n * max_tokens):
            return [Generation(("",) * n, ("not asked",) * n)] * len(prompts)
        how: dict[str, Any] = {
            "max_tokens": max_tokens, "temperature": temperature, "top_p": top_p,
            "stop": stop, "schema": schema, "n": n, "seed": seed,
        }  # fmt: skip
        ids = request_ids(prompts, [digest(how)] * len(prompts))
        shelf = self._kept.shelf("generations", self.fingerprint)
        self._fill(
            shelf, ids, lambda rows: self.lm.generate([prompts[i] for i in rows], **how), _as_lists
        )
        return [
            Generation(tuple(said[0::2]), tuple(said[1::2])) for said in shelf.get(ids).to_pylist()
        ]

    def _fill(
        self,
        shelf: Shelf,
        ids: Ids,
        ask: Callable[[Rows], Sequence[T]],
        store: Callable[[Sequence[T]], Values],
    ) -> None:
        together = getattr(self.lm, "together", _REQUESTS)
        self._kept.fill(shelf, ids, ask, store, together)

    def _scores(
        self, prompts: Sequence[Prompt], continuations: Sequence[str] | None
    ) -> Callable[[Rows], list[TokenLogprobs]]:
        def scores(rows: Rows) -> list[TokenLogprobs]:
            given = None if continuations is None else [continuations[i] for i in rows]
            return self.lm.logprobs([prompts[i] for i in rows], given)

        return scores


class CachedEmbedder:
    """An embedder whose embeddings are kept.

    Parameters
    ----------
    embedder : Embedder
    store : FeatureStore, optional
        Default: the one in `TAMIS_HOME`.
    progress : bool
        Draw a bar on stderr, when that is a terminal.

    See Also
    --------
    embeddings : of the rows of a pool, by their ids.
    """

    def __init__(
        self, embedder: Embedder, *, store: FeatureStore | None = None, progress: bool = True
    ) -> None:
        self.embedder = embedder
        self._kept = _Kept(store, progress)

    def __repr__(self) -> str:
        return f"CachedEmbedder({self.embedder!r})"

    @property
    def fingerprint(self) -> str:
        """That of the embedder."""
        return self.embedder.fingerprint

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """As `Embedder.embed`."""
        if not texts:
            return self.embedder.embed(texts)
        ids = request_ids(texts, None)
        shelf = self._kept.shelf("embeddings", self.fingerprint)
        shelf.fill(
            ids,
            lambda rows: self.embedder.embed([texts[i] for i in rows]),
            flush_seconds=_FLUSH_SECONDS,
            progress=self._kept.progress,
        )
        return shelf.numbers(ids)


def embeddings(
    pool: Dataset,
    embedder: Embedder,
    rows: Rows | None = None,
    *,
    field: str = "text",
    store: FeatureStore | None = None,
    progress: bool = True,
) -> npt.NDArray[np.float32]:
    """Return the embedding of each row of a pool: float32 of shape (n, d), rows of length 1.

    Parameters
    ----------
    pool : Dataset
    embedder : Embedder
    rows : int64 array of shape (m,), optional
        Whose embeddings to return, in this order. By default all, in the pool's order.
    field : str
        'text' (all of a row), 'prompt' or 'response'.
    store : FeatureStore, optional
        Default: the one in `TAMIS_HOME`. Rows that were embedded before, in this pool or
        another, are not embedded again.
    progress : bool
        Draw a bar on stderr, when that is a terminal.
    """
    ids = example_ids(pool)
    shelf = (store or FeatureStore()).open(f"embeddings of {field}", embedder.fingerprint)
    engine = current_engine()
    if engine.apart:  # each process fills the shelf with its part of what is missing
        todo = np.flatnonzero(shelf.missing(ids))
        parts = ((part, ids[part]) for part in _parts(todo))
        fill = partial(_fill, shelf, pool, embedder, field)
        deque(engine.each(parts, fill, label=shelf.feature), maxlen=0)
    _fill(shelf, pool, embedder, field, (np.arange(len(pool)), ids), progress=progress)
    return shelf.numbers(ids if rows is None else ids[rows])


def _fill(
    shelf: Shelf,
    pool: Dataset,
    embedder: Embedder,
    field: str,
    part: tuple[Rows, Ids],
    *,
    progress: bool = False,
) -> None:
    """Embed what the shelf lacks of these rows, known by their ids."""
    rows, ids = part
    tables = pool.with_format("arrow")

    def embed(positions: Rows) -> npt.NDArray[np.float32]:
        texts: pa.LargeStringArray = getattr(fields(tables[rows[positions]]), field)
        return embedder.embed(texts.to_pylist())

    shelf.fill(ids, embed, flush_seconds=_FLUSH_SECONDS, progress=progress)


def _parts(rows: Rows) -> list[Rows]:
    return [rows[start : start + _TOGETHER] for start in range(0, len(rows), _TOGETHER)]


def request_ids(prompts: Sequence[Prompt], others: Sequence[str] | None) -> Ids:
    """Return an id for what is asked: of shape (n,), the same for the same content."""
    asked = (
        blake2b(digest(_plain(prompt), other).encode(), digest_size=16).digest()
        for prompt, other in zip(prompts, others or repeat(None, len(prompts)), strict=True)
    )
    return np.frombuffer(b"".join(asked), "V16")


def _in_the_call(error: IncompleteError[T], rows: Rows, n: int) -> IncompleteError[T]:
    """Return the error with answers and reasons at their places among all `n` requests."""
    answers: list[T | None] = [None] * n
    for place, said in zip(rows.tolist(), error.answers, strict=True):
        answers[place] = said
    reasons = {int(rows[i]): why for i, why in error.reasons.items()}
    return IncompleteError(str(error), answers, reasons)


def _plain(prompt: Prompt) -> object:
    return prompt if isinstance(prompt, str) else [dict(message) for message in prompt]


def _as_structs(scored: Sequence[TokenLogprobs]) -> pa.Array:
    ends = np.cumsum([0, *(len(one.ids) for one in scored)])
    return pa.StructArray.from_arrays(
        [
            pa.array([one.text for one in scored], pa.large_string()),
            _lists(ends, [one.ids for one in scored], pa.int32()),
            _lists(2 * ends, [one.spans.ravel() for one in scored], pa.int32()),
            _lists(ends, [one.logprobs for one in scored], pa.float32()),
        ],
        ["text", "ids", "spans", "logprobs"],
    )


def _lists(
    ends: npt.NDArray[np.int64], rows: list[npt.NDArray[Any]], kind: pa.DataType
) -> pa.Array:
    flat = np.concatenate(rows) if rows else np.empty(0)
    return pa.LargeListArray.from_arrays(pa.array(ends), pa.array(flat).cast(kind))


def _scored(value: pa.StructScalar) -> TokenLogprobs:
    parts = {name: value[name].values.to_numpy(zero_copy_only=False) for name in _NUMBERS}
    return TokenLogprobs(
        value["text"].as_py(),
        parts["spans"].astype(np.int64).reshape(-1, 2),
        parts["ids"].astype(np.int64),
        parts["logprobs"],
    )


_NUMBERS = ("ids", "spans", "logprobs")


def _as_sums(scored: Sequence[TokenLogprobs]) -> npt.NDArray[np.float64]:
    return np.array([(one.sum, one.count) for one in scored], np.float64).reshape(-1, 2)


def _as_lists(answers: Sequence[Generation]) -> pa.Array:
    """Return texts and finishes in turn, a list an answer."""
    said = [[*chain(*zip(one.texts, one.finishes, strict=True))] for one in answers]
    return pa.array(said, pa.large_list(pa.large_string()))
