"""Run a causal transformer over packs: no padding, and no logits that nobody reads.

Four things make scoring cheap. Attention goes block by block, so that sequences laid end
to end do not see each other (registered with transformers as an attention of its own).
The logarithm of the softmax's sum is built up over slices of the vocabulary, for the rows
that foretell a scored token alone. And on a CPU the float32 products go to oneDNN, which
is twice as fast as MKL where MKL does not know the processor, with the same weights and
the same precision; and GPT-2's activation, five passes as transformers writes it, is one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from transformers import AttentionInterface, PreTrainedModel
from transformers.activations import NewGELUActivation

from tamis.models.int8 import Int8Linear
from tamis.models.packing import Block, Pack

__all__ = ["ATTENTION", "OneDNN", "fuse_activations", "hidden_states", "token_logprobs"]

ATTENTION = "tamis_packed"
_WRITTEN_OUT = 400  # tokens: up to here plain products learn faster than the fused kernel
_VECTORS = 64  # numbers that any processor's vectors go into
_SLICE = 2048  # words: with 1,024 tokens 8 MB, which stay in cache


def hidden_states(module: PreTrainedModel, pack: Pack) -> torch.Tensor:
    """Return what the layers make of a pack: shape (t, hidden), after the last norm."""
    with _packed_attention(module):
        output = module.base_model(
            input_ids=torch.from_numpy(pack.ids)[None].to(module.device),
            position_ids=torch.from_numpy(pack.positions)[None].to(module.device),
            use_cache=False,
            blocks=pack.blocks,
        )
    return output.last_hidden_state[0]


def token_logprobs(
    hidden: torch.Tensor, head: torch.nn.Linear | Int8Linear, targets: torch.Tensor
) -> torch.Tensor:
    """Return the log-probability of each target, in slices of the vocabulary.

    A number does not depend, to its last bit, on which others are computed with it: slices are the
    same for any number of targets, and none stands in the rest that vectors leave.

    Parameters
    ----------
    hidden : tensor of shape (t, hidden)
    head : Linear or Int8Linear
        From hidden states to logits.
    targets : int64 tensor of shape (t,)

    Returns
    -------
    float32 tensor of shape (t,)
    """
    count = len(targets)
    hidden = functional.pad(hidden, (0, 0, 0, -count % _VECTORS))
    targets = functional.pad(targets, (0, -count % _VECTORS))
    chosen = torch.empty(len(targets), device=hidden.device)
    total = torch.full_like(chosen, -torch.inf)
    for begin, logits in _sliced(hidden, head):
        total = torch.logaddexp(total, logits.logsumexp(-1))
        here = torch.nonzero((targets >= begin) & (targets < begin + _SLICE)).flatten()
        chosen[here] = logits[here, targets[here] - begin]
    return (chosen - total)[:count]


def _sliced(
    hidden: torch.Tensor, head: torch.nn.Linear | Int8Linear
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield where each slice of the vocabulary begins, and its logits in float32."""
    if isinstance(head, Int8Linear):
        yield from head.slices(hidden, _SLICE)
        return
    for begin in range(0, head.weight.shape[0], _SLICE):
        weight = head.weight[begin : begin + _SLICE]
        bias = None if head.bias is None else head.bias[begin : begin + _SLICE]
        yield begin, functional.linear(hidden, weight, bias).float()


def fuse_activations(module: PreTrainedModel) -> None:
    """Put torch's own kernel where an activation is written out: GELU by its tanh formula."""
    for layer in module.modules():
        for name, child in layer.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(layer, name, torch.nn.GELU(approximate="tanh"))


class OneDNN(TorchFunctionMode):  # type: ignore[misc]
    """Send the float32 products of linear layers on a CPU to oneDNN, inside the `with`."""

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401 - torch's own signature
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Take over `linear`, and `addmm` as GPT-2's layers use it; leave the rest."""
        kwargs = kwargs or {}
        if func is functional.linear and _plain(args[0]):
            bias = args[2] if len(args) > 2 else kwargs.get("bias")
            return _product(args[0], args[1], bias)
        if func is torch.addmm and not kwargs and _plain(args[1]):
            return _product(args[1], args[2].t(), args[0])
        return func(*args, **kwargs)


def _plain(tensor: torch.Tensor) -> bool:
    return (
        tensor.device.type == "cpu"
        and tensor.dtype == torch.float32
        and not torch.is_grad_enabled()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@contextmanager
def _packed_attention(module: PreTrainedModel) -> Iterator[None]:
    own = module.config._attn_implementation
    module.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        module.set_attn_implementation(own)


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    blocks: Sequence[Block],
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: Any,  # noqa: ANN401 - what models pass along
) -> tuple[torch.Tensor, None]:
    """Attend within each block, and to its stem; query is of shape (1, heads, t, d)."""
    if others.get("softcap") is not None or others.get("s_aux") is not None:
        raise NotImplementedError("attention with a soft cap or sinks")
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (tensor.repeat_interleave(groups, dim=1) for tensor in (key, value))
    output = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format)
    for block in blocks:
        end = block.begin + block.length * block.count
        own = slice(block.begin, end)
        q, k, v = (tensor[0, :, own] for tensor in (query, key, value))
        if block.stem[1]:
            stem = slice(*block.stem)
            k, v = (torch.cat([t[0, :, stem], t[0, :, own]], dim=1) for t in (key, value))
        shape = (block.count, -1)
        q, k, v = (tensor.unflatten(1, shape).transpose(0, 1) for tensor in (q, k, v))
        mask = _mask(block, sliding_window, query.device)
        if mask is None and block.length <= _WRITTEN_OUT and _learns(query):
            mixed = _written_out(q, k, v, scaling)
        else:
            mixed = functional.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=mask is None, scale=scaling
            )
        output[0, own] = mixed.permute(0, 2, 1, 3).flatten(0, 1)
    return output, None


def _learns(query: torch.Tensor) -> bool:
    return bool(query.requires_grad) and query.device.type == "cpu"


def _written_out(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """Attend causally by plain products; a CPU takes a third of the time for their gradient."""
    length, width = query.shape[-2:]
    later = torch.full((length, length), -torch.inf).triu(1)
    scores = query @ key.transpose(-1, -2) * (width**-0.5 if scaling is None else scaling)
    return (scores.float() + later).softmax(-1).to(value.dtype) @ value


def _mask(block: Block, window: int | None, device: torch.device) -> torch.Tensor | None:
    """Return which keys a block's queries see; None where that is just the earlier ones."""
    stem = block.stem[1] - block.stem[0]
    if not stem and (window is None or block.length <= window):
        return None
    queries = torch.arange(block.length, device=device)[:, None] + stem
    keys = torch.arange(stem + block.length, device=device)
    seen = keys <= queries
    return seen if window is None else seen & (queries - keys < window)


AttentionInterface.register(ATTENTION, _attend)
