"""IFD, instruction-following difficulty: what a prompt does for its response, by a model's losses.

    s(A)    mean loss of the response alone
    s(A|Q)  mean loss of the response given its prompt
    IFD     s(A|Q) / s(A), or exp(s(A|Q)) / exp(s(A))

Near 1 the prompt hardly helps: following it is hard for the model. From 1 on it does not help
at all, and the two seldom belong together. Superfiltering is this with a small model.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data import formats
from tamis.errors import SettingError, did_you_mean
from tamis.kernels.neighbours import k_means
from tamis.models.base import Embedder, LanguageModel
from tamis.models.cached import CachedLM
from tamis.models.embeddings import points_by_id
from tamis.models.losses import lm_of, mean_losses
from tamis.selectors.base import Scorer
from tamis.selectors.pickers import top_k
from tamis.selectors.selection import Selection, said_by, say_kept

if TYPE_CHECKING:
    from tamis.models.transformers import TransformersLM

__all__ = ["IFD", "brief_experience"]

Form = Literal["loss", "perplexity"]

_HEADER = "### Response:"
_MIDDLE = (25, 75)  # per cent of a cluster's perplexities


@dataclass(kw_only=True, repr=False)
class IFD(Scorer):
    """Keep the examples whose instruction is hardest to follow, yet still helps.

    The score of an example is its IFD: how likely a language model finds the response given
    the prompt, against how likely without it. Rows from 1 on are left out, as the papers do;
    of the others the highest are kept.

    Parameters
    ----------
    lm : LanguageModel or str
        `form="perplexity"` is made for a small one, untuned: GPT-2 of 124 million parameters
        ranks much as a model of 7 billion does (Superfiltering).
    form : {"perplexity", "loss"}
        Superfiltering's ratio of perplexities: the response stands alone, or after the prompt
        on a line of its own. Or Cherry's ratio of mean losses: the response follows the
        header '### Response:', alone or after the prompt; a row at 1 exactly is not left out.
    share : float
        What part of the pool is kept where no `k` is given, rounded down, but one at least.
    experience : bool
        Tune a copy of the model before, for one epoch on a few examples of each kind
        (Cherry's brief experience): of each cluster of prompts, some from the middle of its
        perplexities. The model must be a transformers one.
    clusters, per_cluster : int
        How many clusters, and how many examples of each.
    embedder : Embedder or str
        Of the prompts that are clustered. The paper's is `transformers:` and the model itself.
    seed : int
        Of the clusters and of the tuning.

    Notes
    -----
    Signals: `loss_alone`, `loss_given_prompt` (nats a token), `ifd_loss` and `ifd_perplexity`
    (the ratio of these losses, and of their exponentials), `tokens` of the response.

    A row has no score where its response is empty or has one token only, which stands first
    and has no probability alone, and where prompt and response are longer than the model's
    context together. (The released codes score such rows 0, or cut them.) Losses are kept in
    the feature store: another `k`, `form` aside, costs nothing.

    Time is that of two readings of each response and one of its prompt.

    See Also
    --------
    FacilityLocation : after this, for Superfiltering's variant with diversity.

    References
    ----------
    Li et al., arXiv 2308.12032 (Cherry). Li et al., arXiv 2402.00530 (Superfiltering).
    """

    name: ClassVar[str] = "ifd"
    needs_k: ClassVar[bool] = False
    lm: LanguageModel | str = "bundled"
    form: Form = "perplexity"
    share: float = 0.1
    experience: bool = False
    clusters: int = 100
    per_cluster: int = 10
    embedder: Embedder | str = "bundled"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise SettingError(
                f"IFD: form='{self.form}'; {did_you_mean(self.form, get_args(Form))}"
            )
        if not 0 < self.share <= 1:
            raise SettingError(f"IFD: share={self.share}; give one above 0, up to 1")
        for setting in ("clusters", "per_cluster"):
            if getattr(self, setting) < 1:
                raise SettingError(f"IFD: {setting}={getattr(self, setting)}; give at least 1")

    def fit(self, pool: Dataset) -> Self:
        """Load the model, and give it its brief experience of the pool if asked; return self."""
        lm = lm_of(self.lm)
        self.lm_ = CachedLM(self._experienced(lm, pool) if self.experience else lm, progress=False)
        return self

    def measure(self, batch: pa.Table) -> dict[str, npt.NDArray[Any]]:
        """Return both losses of each row, and their ratios.

        Raises
        ------
        DataError
            If the rows are plain text.
        """
        before, responses = self._read(batch)
        alone = mean_losses(self.lm_, *self._alone(responses))
        given = mean_losses(self.lm_, before, responses)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return {
                "loss_alone": alone.means,
                "loss_given_prompt": given.means,
                "ifd_loss": given.means / alone.means,
                "ifd_perplexity": np.exp(given.means - alone.means),
                "tokens": given.tokens,
                "why": np.where(given.why == "", alone.why, given.why),
            }

    def score_of(self, signals: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return each row's IFD; NaN where a loss is missing."""
        return signals[f"ifd_{self.form}"]

    def _pick(
        self,
        ids: npt.NDArray[np.void],
        signals: Mapping[str, npt.NDArray[Any]],
        scores: npt.NDArray[np.float64],
        k: int | None,
    ) -> Selection:
        useful = scores < 1 if self.form == "perplexity" else scores <= 1
        wanted = max(1, int(self.share * len(scores))) if k is None else k
        indices = top_k(scores, ids, wanted, among=useful)

        def says(rows: slice) -> Iterator[str]:
            told = zip(scores[rows].tolist(), useful[rows], signals["why"][rows], strict=True)
            for score, helped, why in told:
                if math.isnan(score):
                    yield f"no IFD: {why}"
                elif helped:
                    yield "IFD below that of the kept"
                else:
                    yield f"IFD {score:.4g}: the prompt makes the response no likelier"

        reasons = said_by(says, len(scores))
        say_kept(reasons, indices)
        told = {name: column for name, column in signals.items() if name != "why"}
        return Selection(indices, scores, reasons, pa.table(told))

    def _read(self, batch: pa.Table) -> tuple[list[str], list[str]]:
        """Return what stands before each response, and the responses."""
        prompts, responses = (column.to_pylist() for column in formats.exchange(batch))
        if self.form == "perplexity":
            return [f"{prompt}\n" for prompt in prompts], responses
        return [f"{prompt}\n\n{_HEADER}" for prompt in _with_input(batch, prompts)], responses

    def _alone(self, responses: list[str]) -> tuple[list[str], list[str] | None]:
        """Return what is asked of the model about responses alone."""
        if self.form == "perplexity":
            return responses, None
        return [_HEADER] * len(responses), responses

    def _experienced(self, lm: LanguageModel, pool: Dataset) -> "TransformersLM":
        """Return a copy of the model, tuned on a few examples of each kind."""
        if not hasattr(lm, "module"):
            raise SettingError(
                f"IFD: experience=True, but {lm!r} cannot be trained; "
                "give a transformers: model, or leave experience out"
            )
        from tamis.models.transformers import TransformersLM
        from tamis.models.tuning import tune

        assert isinstance(lm, TransformersLM)
        rows, points = points_by_id(pool, self.embedder, part="prompt")
        _, cluster = k_means(points, self.clusters, seed=self.seed)
        table = pool.with_format("arrow")[rows]
        before, responses = self._read(table)
        prompts = formats.exchange(table)[0].to_pylist()
        losses = mean_losses(CachedLM(lm, progress=False), prompts).means
        brief = brief_experience(cluster, np.exp(losses), self.per_cluster)
        return tune(lm, [before[i] for i in brief], [responses[i] for i in brief], seed=self.seed)


def brief_experience(
    cluster: npt.NDArray[np.int64], perplexity: npt.NDArray[np.float64], n: int
) -> npt.NDArray[np.int64]:
    """Return `n` examples of each cluster, from the middle of its perplexities.

    Parameters
    ----------
    cluster : int64 array of shape (m,)
    perplexity : float64 array of shape (m,)
        NaN is never taken.
    n : int
        Of a cluster whose middle, its 25th to its 75th percentile, holds fewer, all of that.

    Returns
    -------
    int64 array
        Evenly spread over the middle in the order given, cluster by cluster.
    """
    chosen = [np.empty(0, np.int64)]
    for label in np.unique(cluster):
        members = np.flatnonzero((cluster == label) & ~np.isnan(perplexity))
        if len(members):
            low, high = np.percentile(perplexity[members], _MIDDLE)
            middle = members[(perplexity[members] >= low) & (perplexity[members] <= high)]
            chosen.append(middle[:: max(1, len(middle) // n)][:n])
    return np.concatenate(chosen)


def _with_input(batch: pa.Table, prompts: Sequence[str]) -> list[str]:
    """Return the prompts as Cherry writes them: of Alpaca's, 'Input:' before the input."""
    columns = formats.of(batch).columns(batch.column_names) or {}
    if "input" not in columns:
        return list(prompts)
    asked, given = (
        formats.texts(batch[columns[role]], columns[role]).to_pylist()
        for role in ("prompt", "input")
    )
    return [
        q + (f"\nInput:{extra}" if extra else "") for q, extra in zip(asked, given, strict=True)
    ]
