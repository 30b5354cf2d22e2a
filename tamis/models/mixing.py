"""DoReMi's two small models: a reference, and a proxy whose batches teach how to weigh domains.

The reference learns rows drawn with the domains' prior weights. The proxy then sees as many
of every domain in each batch, its loss is the weighted sum of the domains' mean losses, and
after each batch the weights move to the domains in which its tokens cost it more than they
cost the reference (`tamis.kernels.group_dro`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tamis.data.progress import progress_bar
from tamis.errors import MissingExtraError, ModelError
from tamis.kernels.draws import uniforms
from tamis.kernels.group_dro import excess_losses, reweighted
from tamis.models.tokens import Piece
from tamis.models.transformers import TransformersLM

try:
    import torch

    from tamis.models.lora import learner
    from tamis.models.passes import backward, sequences
    from tamis.models.tuning import tune, usual_rate
except ImportError as error:
    raise MissingExtraError("torch", "models") from error

__all__ = ["Course", "Domains", "mix"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_WARM_UP = 0.05  # of the steps


class Domains(NamedTuple):
    """What there is to learn, by domain.

    Attributes
    ----------
    rows : list of int64 arrays
        The rows of each domain, one at least.
    ids : V16 array
        Of all rows; a domain is read in an order that belongs to them.
    prior : float64 array of shape (k,)
        The weights to start from, which add up to 1.
    texts : function of an int64 array
        Returns the texts of rows.
    """

    rows: list[Rows]
    ids: npt.NDArray[np.void]
    prior: Floats
    texts: Callable[[Rows], list[str]]


@dataclass(frozen=True, kw_only=True)
class Course:
    """How the two models are trained; as `tamis.selectors.doremi.DoReMi` says."""

    steps: int
    batch: int
    tokens: int
    rate: float
    smoothing: float
    learning_rate: float | None
    scratch: bool
    reference: bool
    seed: int


def mix(lm: TransformersLM, domains: Domains, course: Course) -> Floats:
    """Return the weights of the domains after each step, as Group DRO moves them.

    Parameters
    ----------
    lm : TransformersLM
        Gives both models their shape, and without `course.scratch` their first weights. Left
        as it is.
    domains : Domains
    course : Course

    Returns
    -------
    float64 array of shape (steps + 1, k)
        The first row is what the weights were before. Each row is on the simplex.

    Raises
    ------
    ModelError
        If the proxy's loss is no longer a number.

    Notes
    -----
    10 operations a token and parameter of each step: the proxy is scored and trained, the
    reference scored. Training the reference takes another 6. Memory as for two `tune`.
    """
    start = _fresh(lm, course.seed) if course.scratch else lm
    k = len(domains.prior)
    draw = np.random.default_rng(course.seed)
    even = np.full(k, max(1, course.batch // k))
    by_prior = draw.multinomial(max(course.batch, k), domains.prior, size=2 * course.steps)

    deck = _Deck(domains, course.seed)
    first = np.concatenate([deck.deal(counts)[0] for counts in by_prior[: course.steps]])
    reference = tune(
        start, [""] * len(first), _cut(lm, domains.texts(first), course.tokens),
        learning_rate=course.learning_rate, seed=course.seed,
    )  # fmt: skip

    deck, proxy = _Deck(domains, ~course.seed), _Proxy(start, reference, domains, course)
    path = [proxy.weights]
    for step in progress_bar(range(course.steps), desc="doremi: proxy", leave=False):
        rows, of = deck.deal(by_prior[course.steps + step] if course.reference else even)
        proxy.learn(_cut(lm, domains.texts(rows), course.tokens), of)
        path.append(proxy.weights)
    return np.array(path)


class _Deck:
    """The rows of each domain, dealt in an order of their ids and a seed; then again."""

    def __init__(self, domains: Domains, seed: int) -> None:
        self._orders = [
            rows[np.argsort(uniforms(domains.ids[rows], seed), kind="stable")]
            for rows in domains.rows
        ]
        self._dealt = np.zeros(len(domains.rows), np.int64)

    def deal(self, counts: npt.NDArray[np.int64]) -> tuple[Rows, npt.NDArray[np.int64]]:
        """Return so many rows of each domain, and the domain of each."""
        hands = [
            order[np.arange(start, start + count) % len(order)]
            for order, start, count in zip(self._orders, self._dealt, counts, strict=True)
        ]
        self._dealt += counts
        return np.concatenate(hands), np.repeat(np.arange(len(counts)), counts)


class _Proxy:
    """The model that learns, and the weights that its losses move."""

    def __init__(
        self, start: TransformersLM, reference: TransformersLM, domains: Domains, course: Course
    ) -> None:
        k = len(domains.prior)
        self._course, self._reference, self._prior = course, reference, domains.prior
        self._lm = learner(start, None, course.seed)
        self._rate = course.learning_rate or usual_rate(start, None)
        self._parameters = [p for p in self._lm.module.parameters() if p.requires_grad]
        self._adam = torch.optim.AdamW(
            self._parameters, lr=self._rate, weight_decay=0.0, fused=True
        )
        self._steps = 0
        # The released code starts from the prior, and from the loss of a blind guess.
        vocabulary = int(self._lm.module.config.vocab_size)
        self.weights = domains.prior.copy() if course.reference else np.full(k, 1 / k)
        self._excess = np.full(k, math.log(vocabulary) if course.reference else 0.0)

    def learn(self, texts: Sequence[str], of: npt.NDArray[np.int64]) -> None:
        """Move the weights by a batch, `of` these domains, and then the model."""
        cut = sequences(self._lm, [""] * len(texts), texts)
        there = np.flatnonzero([bool(pieces) for pieces in cut])
        pieces, of = [cut[i][0] for i in there], of[there]
        tokens = np.repeat(of, [len(piece.ids) - piece.first for piece in pieces])
        proxy, reference = (
            -np.concatenate(lm._run(pieces)).astype(float) for lm in (self._lm, self._reference)
        )
        if not np.isfinite(proxy).all():
            raise ModelError(
                f"{self._lm.name}: the proxy's loss is no number after {self._steps} steps, "
                f"learning_rate={self._rate:g}; try a smaller one"
            )
        self._excess = excess_losses(proxy, reference, tokens, self._excess)
        self.weights = reweighted(
            self.weights, self._excess,
            rate=self._course.rate, smoothing=self._course.smoothing,
        )  # fmt: skip
        self._step(pieces, of, self._of_tokens(np.bincount(tokens, minlength=len(self.weights))))

    def _of_tokens(self, counts: npt.NDArray[np.int64]) -> Floats:
        """Return what the loss of a token of each domain counts in the batch's loss."""
        if not self._course.reference:
            return np.asarray(self.weights / np.maximum(counts, 1))
        fair = self.weights / self._prior  # batches were drawn by the prior
        return np.asarray(fair / (fair @ counts))

    def _step(self, pieces: list[Piece], of: npt.NDArray[np.int64], weights: Floats) -> None:
        done, planned = self._steps, self._course.steps
        share = min((done + 1) / max(1.0, _WARM_UP * planned), 1 - done / planned)
        self._adam.param_groups[0]["lr"] = self._rate * min(1.0, share)
        self._adam.zero_grad(set_to_none=True)
        for domain in np.unique(of):
            members = [piece for piece, its in zip(pieces, of, strict=True) if its == domain]
            backward(self._lm, members, float(weights[domain]))
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._adam.step()
        self._steps += 1


def _cut(lm: TransformersLM, texts: Sequence[str], tokens: int) -> list[str]:
    """Return the first `tokens` tokens of each text."""
    read = lm._reader.encode(texts)
    return [
        one.text if len(one.spans) <= tokens else one.text[: one.spans[tokens - 1, 1]]
        for one in read
    ]


def _fresh(lm: TransformersLM, seed: int) -> TransformersLM:
    """Return a model of the same shape that has learnt nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = type(lm.module)(lm.module.config).to(lm.module.device)
    return TransformersLM(module, tokenizer=lm.tokenizer, batch_tokens=lm.batch_tokens)
