"""Train a copy of a language model on prompts and responses: packed, in bfloat16, by a seed.

What makes it quick enough to ask 'which thousand rows train better?' on two cores: no
sequence is padded (see `tamis.models.packing`), the layers compute in bfloat16 while the
weights that learn stay float32, and the loss over the vocabulary is taken for the response's
tokens alone, its gradient worked out on the way, so that the logits of a batch are never held.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tamis.data.progress import progress_bar
from tamis.errors import DataError, MissingExtraError, ModelError, SettingError
from tamis.kernels.draws import uniforms
from tamis.models.base import LanguageModel, Prompt
from tamis.models.fingerprint import digest, seed_of
from tamis.models.losses import lm_of
from tamis.models.packing import packs
from tamis.models.tokens import Encoded, Piece
from tamis.models.transformers import TransformersLM

try:
    import torch
    from torch.nn import functional

    from tamis.models.packed import hidden_states
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = [
    "LORA_SCALE",
    "LoRA",
    "Pass",
    "Tuning",
    "backward",
    "computing",
    "frozen",
    "learner",
    "merged",
    "passes",
    "sequences",
    "token_loss",
    "trainable",
    "training",
    "tune",
    "usual_rate",
]

_WARM_UP = 0.05  # of the steps
LORA_SCALE = 2.0  # the papers' alpha / rank, as in most recipes
_LOGITS_ON_CPU, _LOGITS_ON_GPU = 2**21, 2**27  # held at a time: 8 MB stay in cache


def tune(
    lm: TransformersLM,
    prompts: Sequence[Prompt],
    responses: Sequence[str],
    *,
    epochs: int = 1,
    learning_rate: float | None = None,
    batch_tokens: int | None = None,
    lora: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> TransformersLM:
    """Return a copy of a model that was trained to give these responses to these prompts.

    Parameters
    ----------
    lm : TransformersLM
        Left as it is.
    prompts : sequence of str or of messages
        An empty one lets the model learn all of the response, as in pretraining.
    responses : sequence of str
        Each is learnt together with the model's end token.
    epochs : int
        Passes over the rows.
    learning_rate : float, optional
        Of AdamW, at its peak: it rises over 5 % of the steps and falls to 0 in a line.
        Default: 1e-3 at a width of 256, less by as much as the model is wider; with `lora`
        five times that.
    batch_tokens : int, optional
        Tokens a step, about. How many run at once is the model's own `batch_tokens`.
        Default: 4096 on a CPU, 16384 on a GPU.
    lora : int, optional
        Train low-rank additions of this rank to every linear layer, and nothing else. By
        default every weight learns, and the copy is float32.
    seed : int
        Of the order in which rows are seen, and of LoRA's first weights. The order given
        never matters: rows are drawn by their content.
    progress : bool
        Draw a bar on stderr, when that is a terminal.

    Raises
    ------
    ModelError
        If the loss is no longer a number, or memory does not suffice.
    DataError
        If no row holds a token to learn.

    Notes
    -----
    Dropout is off. The same seed gives the same weights, bit for bit, on one machine with
    one number of threads. A row that is longer than the model's context is cut into
    sequences of that length. Memory: without LoRA 16 bytes a parameter.

    References
    ----------
    Hu et al., arXiv 2106.09685 (LoRA).
    """
    tuning = Tuning(
        lm, prompts, responses, epochs=epochs, learning_rate=learning_rate,
        batch_tokens=batch_tokens, lora=lora, seed=seed, progress=progress,
    )  # fmt: skip
    for epoch in range(epochs):
        tuning.run(epoch)
    return tuning.lm


def trainable(lm: LanguageModel | str, who: str) -> TransformersLM:
    """Return the model itself, or load the one of that name; it must be one that can be trained.

    Parameters
    ----------
    lm : LanguageModel or str
    who : str
        Asks for it; an error begins with that.

    Raises
    ------
    SettingError
        If transformers does not run it.
    """
    found = lm_of(lm)
    if not isinstance(found, TransformersLM):
        raise SettingError(
            f"{who}: {found!r} cannot be trained; give 'bundled', or a transformers: model"
        )
    return found


class Tuning:
    """A training that can be looked at between its epochs.

    Parameters
    ----------
    As for `tune`.

    Attributes
    ----------
    lm : TransformersLM
        The copy, as trained so far.
    optimizer : AdamW
        Its moments, by parameter.
    losses : list of float
        Mean loss of a token, in nats, at each step so far.
    rates : list of float
        Learning rate of each step so far.
    """

    def __init__(
        self,
        lm: TransformersLM,
        prompts: Sequence[Prompt],
        responses: Sequence[str],
        *,
        epochs: int = 1,
        learning_rate: float | None = None,
        batch_tokens: int | None = None,
        lora: int | None = None,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        self.lm = learner(lm, lora, seed)
        learning = [p for p in self.lm.module.parameters() if p.requires_grad]
        self._rate = learning_rate or usual_rate(lm, lora)
        self.optimizer = torch.optim.AdamW(learning, lr=self._rate, weight_decay=0.0, fused=True)
        self.losses: list[float] = []
        self.rates: list[float] = []
        self._rows = sequences(lm, prompts, responses)
        self._ids = _content_ids(prompts, responses)
        self._tokens = np.array([sum(len(piece.ids) for piece in row) for row in self._rows])
        if not self._tokens.sum():
            raise DataError(
                f"{lm.name}: no row has a token to learn; give responses that say something"
            )
        per_step = batch_tokens or (4096 if lm.module.device.type == "cpu" else 16384)
        self._steps = int(np.ceil(self._tokens.sum() / per_step))
        self._epochs, self._seed, self._progress = epochs, seed, progress

    def run(self, epoch: int) -> None:
        """Go once over the rows, in the order that belongs to this epoch."""
        batches = self._batches(epoch)
        bar = progress_bar(
            batches, desc=f"training {epoch + 1}/{self._epochs}", leave=False,
            progress=self._progress,
        )  # fmt: skip
        with training(self.lm):
            for batch in bar:
                self._step(batch)
                bar.set_postfix(loss=f"{self.losses[-1]:.3f}", refresh=False)

    def _batches(self, epoch: int) -> list[list[Piece]]:
        """Return the pieces of each step: steps as even as rows allow."""
        order = np.argsort(uniforms(self._ids, seed_of(self._seed, epoch)))
        before = np.cumsum(self._tokens[order]) - self._tokens[order]
        step = before * self._steps // self._tokens.sum()
        batches: list[list[Piece]] = [[] for _ in range(self._steps)]
        for at, row in zip(step, order, strict=True):
            batches[at].extend(self._rows[row])
        return [batch for batch in batches if batch]

    def _step(self, batch: list[Piece]) -> None:
        done, planned = len(self.losses), self._steps * self._epochs
        share = min((done + 1) / max(1.0, _WARM_UP * planned), 1 - done / planned)
        self.rates.append(self._rate * min(1.0, share))
        self.optimizer.param_groups[0]["lr"] = self.rates[-1]
        self.optimizer.zero_grad(set_to_none=True)
        count = sum(len(piece.ids) - piece.first for piece in batch)
        loss = backward(self.lm, batch, 1 / count) / count
        if not np.isfinite(loss):
            raise ModelError(
                f"{self.lm.name}: the loss is {loss} at step {done + 1} of {planned}, "
                f"learning_rate={self._rate:g}; try a smaller one"
            )
        torch.nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], 1.0)
        self.optimizer.step()
        self.losses.append(loss)


def sequences(
    lm: TransformersLM, prompts: Sequence[Prompt], responses: Sequence[str]
) -> list[list[Piece]]:
    """Return what each row gives to learn: sequences that fit the model's context.

    A piece's tokens from `first` on are the response's, and the end token. A row that has
    none is an empty list.
    """
    end = lm.tokenizer.eos_token_id
    return [
        list(_windows(row, [] if end is None else [end], lm.context))
        for row in lm._reader.encode(prompts, responses)
    ]


def _windows(row: Encoded, end: list[int], context: int) -> Iterator[Piece]:
    ids = np.concatenate([row.ids, np.array(end, np.int64)])
    for begin in range(0, len(ids) - 1, context - 1):  # the last of one foretells the next
        part = ids[begin : begin + context]
        first = max(row.start - begin, 1)
        if first < len(part):
            yield Piece(part, first)


def backward(lm: TransformersLM, pieces: Sequence[Piece], weight: float = 1.0) -> float:
    """Add the gradient of `weight` times the pieces' summed loss; return the sum, in nats.

    The gradient goes to `.grad` of the parameters of `lm.module` that ask for one.
    """
    total = 0.0
    for taken in passes(lm, pieces):
        (taken.loss * weight).backward()
        total += float(taken.loss.detach())
    return total


class Pass(NamedTuple):
    """Some sequences that went through the model together.

    Attributes
    ----------
    pieces : int64 array of shape (m,)
        Which.
    spans : list of (int, int)
        From where up to where each lies in what the layers see; of pieces that were not
        kept apart, the rows that are scored alone.
    loss : tensor
        The sum of their losses, in nats, ready for a backward pass.
    """

    pieces: npt.NDArray[np.int64]
    spans: list[tuple[int, int]]
    loss: torch.Tensor


def passes(lm: TransformersLM, pieces: Sequence[Piece], *, apart: bool = False) -> Iterator[Pass]:
    """Yield forward passes that take each piece once.

    Parameters
    ----------
    lm : TransformersLM
    pieces : sequence of Piece
    apart : bool
        Let no piece share a stem with another: the rows of a pass are then each one's own.
    """
    yield from (_packed if lm.packable else _alone)(lm, pieces, apart)


def _packed(lm: TransformersLM, pieces: Sequence[Piece], apart: bool) -> Iterator[Pass]:
    device = lm.module.device
    # A stem of one token is never shared.
    laid = [Piece(piece.ids, 1) for piece in pieces] if apart else pieces
    for pack in packs(laid, lm.batch_tokens):
        own = [pieces[i] for i in pack.pieces]
        read = [
            rows[len(rows) - len(piece.ids) + piece.first :]
            for rows, piece in zip(pack.rows, own, strict=True)
        ]
        targets = np.concatenate([piece.ids[piece.first :] for piece in own])
        with computing(lm):
            hidden = hidden_states(lm.module, pack)
        scored = hidden[torch.from_numpy(np.concatenate(read)).to(device)]
        loss = token_loss(lm, scored, torch.from_numpy(targets).to(device))
        yield Pass(pack.pieces, [(int(rows[0]), int(rows[-1]) + 1) for rows in pack.rows], loss)


def _alone(lm: TransformersLM, pieces: Sequence[Piece], apart: bool) -> Iterator[Pass]:
    """Take one sequence after the other, by the model's own forward pass."""
    for i, piece in enumerate(pieces):
        ids = torch.from_numpy(piece.ids).to(lm.module.device)
        with computing(lm):
            logits = lm.module(input_ids=ids[None], use_cache=False).logits[0]
        foretold = logits[piece.first - 1 : -1].float()
        loss = functional.cross_entropy(foretold, ids[piece.first :], reduction="sum")
        yield Pass(np.array([i]), [(0, len(ids))], loss)


def token_loss(lm: TransformersLM, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the sum of the targets' negative log-probabilities, in nats.

    Parameters
    ----------
    lm : TransformersLM
        Its head foretells; the logits of all targets are never held at once.
    hidden : tensor of shape (t, hidden)
        Last states, each of which foretells one target.
    targets : int64 tensor of shape (t,)
    """
    head, dtype = lm.module.get_output_embeddings(), _computes_in(lm.module)
    bias = None if head.bias is None else head.bias.to(dtype)
    loss: torch.Tensor = _TokenLoss.apply(hidden.to(dtype), head.weight.to(dtype), bias, targets)
    return loss


def computing(lm: TransformersLM) -> AbstractContextManager[None]:
    """Return the precision in which the layers compute while a model is trained."""
    dtype = _computes_in(lm.module)
    precision: AbstractContextManager[None] = torch.autocast(
        lm.module.device.type, dtype, enabled=dtype != torch.float32
    )
    return precision


class _TokenLoss(torch.autograd.Function):  # type: ignore[misc]
    """Sum of the targets' negative log-probabilities, given hidden states and the head."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's own signature
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
    ) -> torch.Tensor:
        """Take the loss over a few tokens at a time, and keep its gradients alone."""
        d_hidden = torch.empty_like(hidden)
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if weight.requires_grad else None
        d_bias = None if bias is None else torch.zeros_like(bias, dtype=torch.float32)
        total = torch.zeros((), device=hidden.device)
        held = _LOGITS_ON_CPU if hidden.device.type == "cpu" else _LOGITS_ON_GPU
        step = max(1, held // len(weight))
        for begin in range(0, len(targets), step):
            part, right = hidden[begin : begin + step], targets[begin : begin + step, None]
            scores = functional.linear(part, weight, bias).float().log_softmax(-1)
            total -= scores.gather(1, right).sum()
            gradient = scores.exp_()  # d loss / d logits = softmax - one-hot
            gradient.scatter_add_(1, right, torch.full_like(right, -1, dtype=torch.float32))
            if d_bias is not None:
                d_bias += gradient.sum(0)
            gradient = gradient.to(hidden.dtype)
            d_hidden[begin : begin + step] = gradient @ weight
            if d_weight is not None:
                d_weight += gradient.T @ part
        ctx.gradients = (
            d_hidden,
            None if d_weight is None else d_weight.to(weight.dtype),
            None if bias is None or d_bias is None else d_bias.to(bias.dtype),
        )
        return total

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401
        """Scale the gradients that `forward` worked out."""
        return *(None if g is None else g * upstream for g in ctx.gradients), None


class LoRA(torch.nn.Module):  # type: ignore[misc]
    """A linear layer that stays as it is, and a product of two thin matrices that learns.

    Parameters
    ----------
    base : Linear
        From d to e dimensions.
    rank : int
    generator : torch.Generator
        Of the first weights of `down`, float32 of shape (rank, d). Those of `up`, of shape
        (e, rank), are 0: the layer starts as its base.
    """

    def __init__(self, base: torch.nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base
        down = torch.randn(rank, base.in_features, generator=generator) / base.in_features**0.5
        self.down = torch.nn.Parameter(down.to(base.weight.device))
        self.up = torch.nn.Parameter(torch.zeros(base.out_features, rank).to(down.device))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return base(x) + 2 up(down(x)), of shape (…, e)."""
        added = functional.linear(functional.linear(x.to(self.down.dtype), self.down), self.up)
        return self.base(x) + (LORA_SCALE * added).to(x.dtype)


def learner(lm: TransformersLM, lora: int | None, seed: int) -> TransformersLM:
    """Return a copy to train; with LoRA it shares the weights, which then do not learn.

    Parameters
    ----------
    lm : TransformersLM
    lora : int, optional
        As for `tune`.
    seed : int
        Of LoRA's first weights.
    """
    if lora is not None:
        tuned = frozen(lm)
        _add_lora(tuned.module, lora, seed, lm.name)
    else:
        with lm._turn:
            module = copy.deepcopy(lm.module).float().requires_grad_()
        tuned = _like(lm, module)
    tuned.name = f"{lm.name}, tuned"
    return tuned


def frozen(lm: TransformersLM) -> TransformersLM:
    """Return a copy that shares the model's weights, none of which learns."""
    shared = {id(p): _still(p) for p in lm.module.parameters()}
    with lm._turn:  # the configuration is as its owner left it
        return _like(lm, copy.deepcopy(lm.module, shared))


def merged(lm: TransformersLM) -> TransformersLM:
    """Return a copy in which each LoRA has become part of its linear layer.

    Such a model can be saved, and run by whatever runs its base.
    """
    with lm._turn:
        module = copy.deepcopy(lm.module)
    for parent in [*module.modules()]:
        for called, child in [*parent.named_children()]:
            if isinstance(child, LoRA):
                added = LORA_SCALE * child.up.detach() @ child.down.detach()
                child.base.weight.data += added.to(child.base.weight.dtype)
                setattr(parent, called, child.base)
    return _like(lm, module)


def _like(lm: TransformersLM, module: torch.nn.Module) -> TransformersLM:
    """Return a language model that is `lm` but for its network."""
    other = TransformersLM(module, tokenizer=lm.tokenizer, batch_tokens=lm.batch_tokens)
    other.name = lm.name
    return other


def usual_rate(lm: TransformersLM, lora: int | None) -> float:
    """Return the learning rate that is used where none is given."""
    return (0.256 if lora is None else 1.28) / int(lm.module.config.hidden_size)


def _still(parameter: torch.nn.Parameter) -> torch.nn.Parameter:
    if not parameter.requires_grad:  # quantised weights are of a class of their own
        return parameter
    return torch.nn.Parameter(parameter.detach(), requires_grad=False)


def _add_lora(module: torch.nn.Module, rank: int, seed: int, name: str) -> None:
    """Replace every linear layer below the head."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        (parent, called, child)
        for parent in module.base_model.modules()
        for called, child in parent.named_children()
        if isinstance(child, torch.nn.Linear)
    ]
    if not layers:
        raise ModelError(f"{name}: no linear layers for LoRA; train all weights with lora=None")
    for parent, called, child in layers:
        setattr(parent, called, LoRA(child, rank, generator))


def _content_ids(prompts: Sequence[Prompt], responses: Sequence[str]) -> npt.NDArray[np.void]:
    named = (digest(*row) for row in zip(prompts, responses, strict=True))
    return np.frombuffer(bytes.fromhex("".join(named)), "V16")


def _computes_in(module: torch.nn.Module) -> torch.dtype:
    """Return bfloat16 where the device multiplies in it: half the time and the memory."""
    kind = module.device.type
    fast = kind == "cuda" or (kind == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.bfloat16 if fast else torch.float32


@contextmanager
def training(lm: TransformersLM) -> Iterator[None]:
    """Ask a GPU for kernels that sum in one order, as a CPU's do; explain a lack of memory."""
    before = torch.are_deterministic_algorithms_enabled()
    if lm.module.device.type != "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with lm._explained_memory():
            yield
    finally:
        torch.use_deterministic_algorithms(before)
