"""DSIR: importance resampling of a pool towards the n-grams of a target."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data import formats
from tamis.data.batches import map_batches
from tamis.data.load import Source, load
from tamis.data.scratch import roomy
from tamis.errors import DataError, SettingError, did_you_mean
from tamis.kernels.draws import gumbels
from tamis.kernels.ngrams import Hash, bucket_counts, bucket_sums
from tamis.kernels.ordering import blocks
from tamis.selectors.base import Scorer
from tamis.selectors.pickers import top_k
from tamis.selectors.selection import KEPT, Selection, one_reason

__all__ = ["DSIR"]

_FLOOR = 1e-8  # added to every probability, so that what was never seen has a logarithm


@dataclass(kw_only=True, repr=False)
class DSIR(Scorer):
    r"""Draw examples so that their n-grams are distributed as the target's are.

    The score of an example is its log-weight: the sum, over its n-grams of 1 to `ngrams`
    words, of log p_target − log p_pool, both counted in hashed buckets. `k` examples are
    then drawn without replacement, each draw in proportion to the weights.

    Log-weights are sums, so those of long examples are far apart and noise decides little
    between them: that is the method as published, for chunks of equal length. Where lengths
    differ much, look at `length_normalise`.

    Parameters
    ----------
    target : Dataset, or anything `tamis.load` takes, or several of them by name
        Examples like those wanted. Several are served one after the other, each with its
        share of `k` from what the ones before left.
    ngrams : int
        n-grams of 1 to this many words; a word is `\w+` or `[^\w\s]+` in lower case.
    buckets : int
        All n-grams share this many.
    hash : {'fast', 'sha256'}
        'sha256' gives the buckets of the `data-selection` package, at a third of the speed or less.
        Which n-grams share a bucket is chance either way, but another chance: with few
        examples or a small target, the two rank differently.
    temperature : float
        Scale of the Gumbel noise: 1 is the draw described, 0 keeps the `k` largest weights.
    min_tokens : int
        An example of fewer words has no score. The released code wants 100, which would drop
        most instructions; give 100 for long documents.
    smoothing : float
        Added to the target's count of every bucket (Laplace).
    length_normalise : bool
        Divide log-weights by the number of n-grams.
    shares : mapping of str to float, optional
        What part of `k` each of several targets gets. By default, as many parts as it has
        n-grams.
    seed : int
        Another seed is another draw.

    Notes
    -----
    Signals: `log_weight` (one for each of several targets, `log_weight_NAME`), `n_tokens`,
    and `draw`, the score plus noise by which the kept were found.

    The pool's distribution is counted on all of it, the released code's on its first 10**9
    n-grams at most. Two passes over the text, about 2 ns a byte each on one core (7 with
    'sha256'); memory 8 bytes a row, and some 80 in files where
    rows are many, whatever their length.

    References
    ----------
    Xie, Santurkar, Ma, Liang, arXiv 2302.03169. Gumbel top-k: Kool et al., arXiv 1903.06059.
    """

    name: ClassVar[str] = "dsir"
    target: Source | Mapping[str, Source]
    ngrams: int = 2
    buckets: int = 10_000
    hash: Hash = "fast"
    temperature: float = 1.0
    min_tokens: int = 1
    smoothing: float = 0.0
    length_normalise: bool = False
    shares: Mapping[str, float] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for setting, least in _LEAST.items():
            value = getattr(self, setting)
            if not value >= least:
                raise SettingError(f"DSIR: {setting}={value}; give at least {least}")
        if self.buckets > 2**28:
            raise SettingError(f"DSIR: buckets={self.buckets}; give at most {2**28}")
        if self.hash not in get_args(Hash):
            raise SettingError(
                f"DSIR: hash='{self.hash}'; {did_you_mean(self.hash, get_args(Hash))}"
            )
        if not self._targets():
            raise SettingError("DSIR: target names none; give one at least")
        if self.shares is not None:
            _check_shares(self.shares, self._targets())

    def fit(self, pool: Dataset) -> Self:
        """Count the n-grams of target and pool; return self.

        Raises
        ------
        DataError
            If a target has no words.
        """
        of_pool = np.log(_distribution(self._counts(pool, "pool")) + _FLOOR)
        self.log_ratios_: dict[str, npt.NDArray[np.float64]] = {}
        self.n_grams_: dict[str, int] = {}
        for name, source in self._targets().items():
            label = f"target {name}".strip()
            counts = self._counts(load(source, progress=False), label)
            if not counts.any():
                raise DataError(f"DSIR: {label} has no words; give one that has some")
            of_target = np.log(_distribution(counts + self.smoothing) + _FLOOR)
            self.log_ratios_[name] = of_target - of_pool
            self.n_grams_[name] = int(counts.sum())
        return self

    def measure(self, batch: pa.Table) -> dict[str, npt.NDArray[Any]]:
        """Return the log-weight of each row, towards each target, and its number of words."""
        offsets, data = formats.buffers(formats.fields(batch).text)
        signals: dict[str, npt.NDArray[Any]] = {}
        for name, log_ratios in self.log_ratios_.items():
            sums, n_tokens = bucket_sums(
                offsets, data, log_ratios, orders=self.ngrams, hash=self.hash
            )
            signals[_signal(name)] = sums
        return signals | {"n_tokens": n_tokens}

    def score_of(self, signals: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return each row's log-weight, the largest of several; NaN where it is too short."""
        weights = [self._log_weights(signals, name) for name in self._targets()]
        return np.asarray(np.max(weights, axis=0))

    def _log_weights(
        self, signals: Mapping[str, npt.NDArray[Any]], name: str
    ) -> npt.NDArray[np.float64]:
        n_tokens = signals["n_tokens"]
        weights = np.where(n_tokens >= self.min_tokens, signals[_signal(name)], np.nan)
        if self.length_normalise:
            weights /= sum(np.maximum(n_tokens - order, 0) for order in range(self.ngrams))
        return weights

    def _pick(
        self,
        ids: npt.NDArray[np.void],
        signals: Mapping[str, npt.NDArray[Any]],
        scores: npt.NDArray[np.float64],
        k: int | None,
    ) -> Selection:
        """Draw each target's share of `k`, one target after the other."""
        assert k is not None
        draws = roomy((len(ids),), np.float64)
        draws.fill(np.nan)
        free = np.ones(len(ids), bool)
        indices = []
        for number, (name, count) in enumerate(self._counts_of_each(k)):
            drawn = gumbels(ids, self.seed + number, roomy)
            for rows in blocks(len(ids)):
                some = {name: values[rows] for name, values in signals.items()}
                drawn[rows] = self._log_weights(some, name) + self.temperature * drawn[rows]
                draws[rows] = np.where(free[rows], np.fmax(draws[rows], drawn[rows]), draws[rows])
            picks = top_k(drawn, ids, count, among=free)
            draws[picks], free[picks] = drawn[picks], False
            indices.append(picks)
        kept = np.concatenate(indices)
        reasons = self._reasons(signals["n_tokens"], draws, kept)
        return Selection(kept, scores, reasons, pa.table({**signals, "draw": draws}))

    def _reasons(
        self,
        n_tokens: npt.NDArray[np.int64],
        draws: npt.NDArray[np.float64],
        kept: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.object_]:
        reason = "not drawn for any target"
        if len(self._targets()) == 1:
            sum_of = "log-weight plus noise" if self.temperature else "log-weight"
            lowest = draws[kept].min(initial=np.inf)
            reason = f"not drawn: {sum_of} not above {lowest:.6g}, the lowest kept"
        reasons = one_reason(len(n_tokens), reason)
        short = np.flatnonzero(n_tokens < self.min_tokens)
        lengths = np.unique(n_tokens[short])
        texts = [f"too short: {_tokens(n)}, fewer than {self.min_tokens}" for n in lengths]
        reasons[short] = np.array(texts, object)[np.searchsorted(lengths, n_tokens[short])]
        reasons[kept] = KEPT
        return reasons

    def _targets(self) -> dict[str, Source]:
        """Return the targets by name; a target alone has none."""
        return dict(self.target) if isinstance(self.target, Mapping) else {"": self.target}

    def _counts_of_each(self, k: int) -> Iterator[tuple[str, int]]:
        """Yield each target's share of `k`, rounded down; the last one gets the rest."""
        shares = self.n_grams_ if self.shares is None else self.shares
        left = k
        for number, name in enumerate(self.n_grams_, start=1):
            last = number == len(self.n_grams_)
            count = left if last else int(k * (shares[name] / sum(shares.values())))
            left -= count
            if count:
                yield name, count

    def _counts(self, data: Dataset, label: str) -> npt.NDArray[np.int64]:
        def counts(batch: pa.Table) -> npt.NDArray[np.int64]:
            offsets, text = formats.buffers(formats.fields(batch).text)
            return bucket_counts(
                offsets, text, orders=self.ngrams, buckets=self.buckets, hash=self.hash
            )

        none = np.zeros(self.buckets, np.int64)
        return sum(map_batches(data, counts, label=f"dsir: n-grams of {label}"), start=none)


_LEAST = {"ngrams": 1, "buckets": 1, "temperature": 0, "min_tokens": 1, "smoothing": 0}


def _distribution(counts: npt.NDArray[np.number]) -> npt.NDArray[np.float64]:
    return np.asarray(counts / max(counts.sum(), 1))


def _signal(target: str) -> str:
    return f"log_weight_{target}" if target else "log_weight"


def _tokens(count: int) -> str:
    return "1 token" if count == 1 else f"{count} tokens"


def _check_shares(shares: Mapping[str, float], targets: Mapping[str, Source]) -> None:
    if set(shares) != set(targets):
        raise SettingError(
            f"DSIR: shares of {', '.join(shares)}, but the targets are "
            f"{', '.join(map(repr, targets))}; give one of each"
        )
    if min(shares.values()) < 0 or not sum(shares.values()) > 0:
        raise SettingError(f"DSIR: shares={dict(shares)}; give none below 0, and one above")
