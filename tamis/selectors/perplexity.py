"""Perplexity: keep the middle of what a language model finds likely."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data import formats
from tamis.data.batches import map_batches
from tamis.data.scratch import Filling
from tamis.errors import DataError, SettingError, did_you_mean
from tamis.models.base import LanguageModel
from tamis.models.cached import CachedLM
from tamis.models.losses import lm_of, mean_losses
from tamis.selectors.base import Scorer
from tamis.selectors.pickers import top_k
from tamis.selectors.selection import Selection, said_by, say_kept

__all__ = ["Perplexity"]

Part = Literal["response", "text"]


@dataclass(kw_only=True, repr=False)
class Perplexity(Scorer):
    """Keep a band of perplexity: what is neither too easy for a model nor noise to it.

    The perplexity of an example is the exponential of its mean loss a token. Examples are
    ranked by it, from 0 (the lowest of the pool) to 1; the score is nearness to the middle of
    the band, 0 there and less the farther away. `k` narrows the band about its middle.

    Parameters
    ----------
    lm : LanguageModel or str
        Any size: one far smaller than the model to be trained will do.
    low, high : float
        Where the band begins and ends. Up to 1 they are shares of the pool (0.25: the
        quarter of lowest perplexity is below the band), above 1 perplexities.
    part : {"response", "text"}
        What is scored: the response given its prompt, or the whole example on its own. Plain
        text is scored whole.

    Notes
    -----
    Signals: `perplexity`; `tokens`, how many it is a mean of; `rank`. Rows of equal
    perplexity share the middle of their ranks. A row has no score where no token has a
    probability, and where prompt and response together are longer than the model's context.
    Losses come from the feature store: another band or `k` costs nothing.

    The paper ranks web text, and finds the middle half the best to train on.

    References
    ----------
    Marion et al., arXiv 2309.04564.
    """

    name: ClassVar[str] = "perplexity"
    needs_k: ClassVar[bool] = False
    lm: LanguageModel | str = "bundled"
    low: float = 0.25
    high: float = 0.75
    part: Part = "response"

    def __post_init__(self) -> None:
        if self.part not in get_args(Part):
            raise SettingError(
                f"Perplexity: part='{self.part}'; {did_you_mean(self.part, get_args(Part))}"
            )
        alike = (self.low > 1) == (self.high > 1)
        if not (self.low >= 0 and self.high > 0) or (alike and not self.low < self.high):
            raise SettingError(
                f"Perplexity: low={self.low}, high={self.high}; give shares from 0 to 1, or "
                "perplexities above 1, the lower first"
            )

    def fit(self, pool: Dataset) -> Self:
        """Score the pool, to know what share of it lies below a perplexity; return self.

        Raises
        ------
        DataError
            If no row has a perplexity.
        """
        self.lm_ = CachedLM(lm_of(self.lm), progress=False)
        parts = map_batches(pool, self._perplexities, label="perplexity: fit")
        found = Filling((len(pool),), np.float64)
        for part in parts:
            found.add(part["perplexity"][~np.isnan(part["perplexity"])])
        self.sorted_ = found.whole()
        self.sorted_.sort()
        if not len(self.sorted_):
            raise DataError(
                f"Perplexity: none of {len(pool)} rows has a perplexity; give some that have text"
            )
        self.band_ = np.array([self._as_perplexity(limit) for limit in (self.low, self.high)])
        return self

    def measure(self, batch: pa.Table) -> dict[str, npt.NDArray[Any]]:
        """Return each row's perplexity, its tokens, and its rank in the pool."""
        signals = self._perplexities(batch)
        return signals | {"rank": self._rank(signals["perplexity"])}

    def score_of(self, signals: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return minus the distance of each row's rank from the middle of the band."""
        return np.asarray(-np.abs(signals["rank"] - self._rank(self.band_).mean()))

    def _pick(
        self,
        ids: npt.NDArray[np.void],
        signals: Mapping[str, npt.NDArray[Any]],
        scores: npt.NDArray[np.float64],
        k: int | None,
    ) -> Selection:
        perplexity, (low, high) = signals["perplexity"], self.band_
        inside = (low <= perplexity) & (perplexity <= high)
        indices = top_k(scores, ids, len(scores) if k is None else k, among=inside)

        def says(rows: slice) -> Iterator[str]:
            for figure, why in zip(perplexity[rows].tolist(), signals["why"][rows], strict=True):
                if math.isnan(figure):
                    yield f"no perplexity: {why}"
                elif figure < low:
                    yield f"perplexity {figure:.4g}, below the band's {low:.4g}"
                elif figure > high:
                    yield f"perplexity {figure:.4g}, above the band's {high:.4g}"
                else:
                    yield "farther from the middle of the band than the kept"

        reasons = said_by(says, len(scores))
        say_kept(reasons, indices)
        told = {name: column for name, column in signals.items() if name != "why"}
        return Selection(indices, scores, reasons, pa.table(told))

    def _perplexities(self, batch: pa.Table) -> dict[str, npt.NDArray[Any]]:
        prompts, responses, texts = (column.to_pylist() for column in formats.fields(batch))
        if self.part == "text" or formats.of(batch).name == "text":
            losses = mean_losses(self.lm_, texts)
        else:
            before = [prompt and f"{prompt}\n" for prompt in prompts]
            losses = mean_losses(self.lm_, before, responses)
        with np.errstate(over="ignore"):
            perplexity = np.exp(losses.means)
        return {"perplexity": perplexity, "tokens": losses.tokens, "why": losses.why}

    def _as_perplexity(self, limit: float) -> float:
        if limit > 1:
            return limit
        below, part = divmod(limit * (len(self.sorted_) - 1), 1)
        near = self.sorted_[[int(below), math.ceil(below + part)]]  # of all, numpy makes a copy
        return float(np.quantile(near, part))

    def _rank(self, perplexity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the share of the pool that lies below, half of its equals among them."""
        below, to = (np.searchsorted(self.sorted_, perplexity, side) for side in ("left", "right"))
        rank = (below + to) / (2 * len(self.sorted_))
        return np.where(np.isnan(perplexity), np.nan, rank)
