"""DoReMi: how much of each domain, learnt by a small model that is kept at its worst."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.data import formats
from tamis.data.batches import map_batches
from tamis.data.features import FeatureStore
from tamis.data.ids import example_ids
from tamis.errors import DataError, SettingError, did_you_mean
from tamis.kernels.draws import uniforms
from tamis.models.base import LanguageModel
from tamis.models.fingerprint import digest
from tamis.selectors.base import Selector
from tamis.selectors.pickers import shared_top_k
from tamis.selectors.selection import Selection, say_kept

__all__ = ["DoReMi"]

Floats = npt.NDArray[np.float64]
_MOST = 500  # domains: each has a row in every batch
_LEAST = {"steps": 1, "batch": 1, "tokens": 1, "rate": 0, "smoothing": 0}


@dataclass(kw_only=True, repr=False)
class DoReMi(Selector):
    """Draw from each domain as much as a small model's worst losses ask for.

    A reference model learns the domains in their prior proportions. A proxy then learns with
    weights that Group DRO moves, step by step, to the domains where it is farthest behind the
    reference. `k` examples are drawn so that domains share them in proportion to the mean of
    these weights; one that runs out leaves its share to the others. The score of an example
    is its domain's weight over its place in the domain's draw, 2 · place − 1: the next one
    is always of the domain that is farthest behind its share.

    Parameters
    ----------
    domain : str, optional
        The column of the domains. By default the first of source, domain, dataset.
    lm : LanguageModel or str
        What reference and proxy start from. 'bundled', or a model that transformers runs.
    scratch : bool
        Start both from weights that have learnt nothing, as the paper does. That wants many
        more steps; by default they start from what the model knows.
    steps : int
        Of each training. The paper's proxy takes 200,000.
    batch : int
        Rows a step, but at least one of each domain.
    tokens : int
        Of a row; a longer one is cut.
    rate : float
        Step size of the weights.
    smoothing : float
        Share of even weights mixed in after each step; the released code's is 1e-4.
    learning_rate : float, optional
        Of both models, at its peak. By default `tune` says.
    prior : mapping of str to float, optional
        Weights that the reference learns with. By default each domain's share of the pool's
        characters. To iterate, give the weights found before.
    reference : bool
        As the released code: weights start from the prior, batches are drawn by it and the
        loss makes up for that; a domain that is not in a batch keeps its excess loss, which is
        the logarithm of the vocabulary's size before it was first seen; and the mean counts
        the weights before the first step.
    seed : int
        Of all draws, and of models from scratch.

    Notes
    -----
    Signals: `domain`; `weight`, that of the domain; `prior`, what it was at first. `traces`
    of the Selection are the domains' weights after each step.

    The weights are kept in the feature store: another `k` costs nothing. Only rows that a
    batch needs are read.

    References
    ----------
    Xie et al., arXiv 2305.10429, algorithm 1.
    """

    name: ClassVar[str] = "doremi"
    domain: str | None = None
    lm: LanguageModel | str = "bundled"
    scratch: bool = False
    steps: int = 100
    batch: int = 16
    tokens: int = 128
    rate: float = 1.0
    smoothing: float = 1e-3
    learning_rate: float | None = None
    prior: Mapping[str, float] | None = None
    reference: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for setting, least in _LEAST.items():
            value = getattr(self, setting)
            if not value >= least:
                raise SettingError(f"DoReMi: {setting}={value}; give at least {least}")
        if self.smoothing > 1:
            raise SettingError(f"DoReMi: smoothing={self.smoothing}; give at most 1")

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        assert k is not None
        domains, sizes = _read(pool, self.domain)
        names = sorted(pc.unique(domains.filter(pa.array(sizes > 0)).drop_null()).to_pylist())
        if not names:
            raise DataError("DoReMi: no row has both a domain and a text; give some")
        if len(names) > _MOST:
            raise DataError(
                f"DoReMi: {len(names)} domains, such as '{names[0][:40]}'; name a column that has "
                f"at most {_MOST}, as in domain='…'"
            )
        groups = np.asarray(pc.index_in(domains, pa.array(names, pa.large_string())).fill_null(-1))
        groups = np.where(sizes > 0, groups, -1).astype(np.int64)
        prior = self._prior(
            names, np.bincount(groups[groups >= 0], sizes[groups >= 0]).astype(float)
        )
        path = self._path(pool, groups, names, prior)
        weights = path[0 if self.reference else 1 :].mean(axis=0)

        ids = example_ids(pool)
        places = _places(groups, uniforms(ids, self.seed))
        indices = shared_top_k(places, groups, weights, ids, k)
        scores = np.where(groups >= 0, weights[groups] / (2 * places + 1), np.nan)
        reasons = _reasons(groups, indices, names, weights)
        reasons[groups < 0] = np.where(sizes[groups < 0] > 0, "no domain", "no text")
        signals = {
            "domain": pa.array(names, pa.string()).take(pa.array(groups, mask=groups < 0)),
            "weight": np.where(groups >= 0, weights[groups], np.nan),
            "prior": np.where(groups >= 0, prior[groups], np.nan),
        }
        traces = pa.table({name: path[:, i] for i, name in enumerate(names)})
        return Selection(indices, scores, reasons, pa.table(signals), traces=traces)

    def _prior(self, names: list[str], sizes: Floats) -> Floats:
        """Return the weights to start from: those given, or each domain's share of the text."""
        if self.prior is None:
            return np.asarray(sizes / sizes.sum())
        given = np.array([self.prior.get(name, np.nan) for name in names], float)
        if not (given > 0).all():
            lacking = names[int(np.argmin(given > 0))]
            raise SettingError(
                f"DoReMi: prior gives domain '{lacking}' no weight; give one above 0 to each of: "
                f"{', '.join(names)}"
            )
        return np.asarray(given / given.sum())

    def _path(
        self, pool: Dataset, groups: npt.NDArray[np.int64], names: list[str], prior: Floats
    ) -> Floats:
        """Return the weights before the first step and after each; learnt once, and kept."""
        from tamis.models.mixing import Course, Domains, mix
        from tamis.models.tuning import trainable

        lm, ids, tables = trainable(self.lm, "DoReMi"), example_ids(pool), pool.with_format("arrow")
        course = Course(
            steps=self.steps, batch=self.batch, tokens=self.tokens, rate=self.rate,
            smoothing=self.smoothing, learning_rate=self.learning_rate, scratch=self.scratch,
            reference=self.reference, seed=self.seed,
        )  # fmt: skip
        order = np.argsort(ids, kind="stable")
        rows = [order[groups[order] == domain] for domain in range(len(names))]
        content = [
            digest(name, ids[of].tobytes().hex()) for name, of in zip(names, rows, strict=True)
        ]
        mark = np.frombuffer(bytes.fromhex(digest(content, asdict(course), prior.tolist())), "V16")
        shelf = FeatureStore().open("doremi weights", lm.fingerprint)
        if shelf.missing(mark).any():
            domains = Domains(
                rows, ids, prior, lambda some: formats.fields(tables[some]).text.to_pylist()
            )
            shelf.put(mark, pa.array([mix(lm, domains, course).ravel().tolist()]))
        kept = shelf.get(mark)[0].values
        return np.asarray(kept.to_numpy(), float).reshape(-1, len(names))


def _read(pool: Dataset, column: str | None) -> tuple[pa.LargeStringArray, npt.NDArray[np.int64]]:
    """Return each row's domain, null where it says none, and the length of its text."""
    if column is not None and column not in pool.column_names:
        raise DataError(f"DoReMi: no column '{column}'; {did_you_mean(column, pool.column_names)}")

    def read(batch: pa.Table) -> tuple[pa.LargeStringArray, npt.NDArray[np.int64]]:
        told = formats.sources(batch) if column is None else formats.texts(batch[column], column)
        if told is None:
            raise DataError(
                "DoReMi: no column says where rows are from (source, domain or dataset); "
                "name one, as in domain='…'"
            )
        lengths = pc.utf8_length(pc.utf8_trim_whitespace(formats.fields(batch).text))
        return told, np.asarray(lengths, np.int64)

    told, lengths = zip(*map_batches(pool, read, label="doremi: domains"), strict=True)
    domains = pa.concat_arrays(told)
    return pc.if_else(pc.equal(domains, ""), None, domains), np.concatenate(lengths)


def _places(groups: npt.NDArray[np.int64], draws: Floats) -> npt.NDArray[np.int64]:
    """Return each row's place in its group by its draw, from 0; -1 where it has no group."""
    order = np.lexsort((draws, groups))
    starts = np.searchsorted(groups[order], groups[order])
    places = np.empty(len(groups), np.int64)
    places[order] = np.arange(len(groups)) - starts
    return np.where(groups >= 0, places, -1)


def _reasons(
    groups: npt.NDArray[np.int64], indices: npt.NDArray[np.int64], names: list[str], weights: Floats
) -> npt.NDArray[np.object_]:
    """Return 'kept', or how much of its domain is."""
    counts = np.bincount(groups[indices], minlength=len(names))
    over = np.array(
        [
            f"over quota of {name}: weight {weight:.4g}, {count} kept"
            for name, weight, count in zip(names, weights, counts, strict=True)
        ],
        object,
    )
    reasons = over[groups]
    say_kept(reasons, indices)
    return reasons
