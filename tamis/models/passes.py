"""Forward and backward passes of a model that learns: packed, in bfloat16, without its logits.

No sequence is padded (see `tamis.models.packing`), the layers compute in bfloat16 while the
weights that learn stay float32, and the loss over the vocabulary is taken for the response's
tokens alone, its gradient worked out on the way, so that the logits of a batch are never held.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError
from tamis.models.base import Prompt
from tamis.models.packing import packs
from tamis.models.tokens import Encoded, Piece
from tamis.models.transformers import TransformersLM

try:
    import torch
    from torch.nn import functional

    from tamis.models.packed import hidden_states
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["Pass", "backward", "computing", "passes", "sequences", "token_loss"]

_LOGITS_ON_CPU, _LOGITS_ON_GPU = 2**21, 2**27  # held at a time: 8 MB stay in cache


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


def _computes_in(module: torch.nn.Module) -> torch.dtype:
    """Return bfloat16 where the device multiplies in it: half the time and the memory."""
    kind = module.device.type
    fast = kind == "cuda" or (kind == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.bfloat16 if fast else torch.float32
