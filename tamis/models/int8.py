"""Linear layers in int8 on a CPU: a quarter of the weights' memory, and more tokens a second.

    y = s_x s_w (q_x q_w) + b,   q = round(127 v / max |v|)

with a scale for each row of activations and each row of weights, and exact sums in int32. A
row's scale is its own, so that a text in a batch is rounded as it is alone. Where the processor
multiplies bytes (AVX-512 VNNI) a model of GPT-2's shape is twice as fast; one of a few million
parameters gains little, as its time is not in its products.
"""

from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from tamis.errors import ModelError

__all__ = ["Int8Linear", "in_int8"]

_LARGEST = 127


class Int8Linear(torch.nn.Module):  # type: ignore[misc]
    """A linear layer whose weights are int8.

    Parameters
    ----------
    weight : float tensor of shape (out, in)
    bias : float tensor of shape (out,), optional
    """

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        whole, scale = _rounded(weight.detach().float())
        self.register_buffer("weight", whole)
        self.register_buffer("scale", scale[:, 0])
        self.register_buffer("bias", None if bias is None else bias.detach().float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the product of float32 activations of shape (…, in)."""
        if torch.is_grad_enabled() and x.requires_grad:
            raise ModelError("int8 weights cannot be trained; load the model with dtype='float32'")
        y = self.rows(*_rounded(x.reshape(-1, x.shape[-1]).float()), 0, len(self.weight))
        return y.reshape(*x.shape[:-1], -1)

    def slices(self, x: torch.Tensor, step: int) -> Any:  # noqa: ANN401 - an iterator of both
        """Yield where a slice of `step` outputs begins, and the slice, for x of shape (t, in)."""
        whole, scale = _rounded(x.float())
        for begin in range(0, len(self.weight), step):
            yield begin, self.rows(whole, scale, begin, begin + step)

    def rows(self, whole: torch.Tensor, scale: torch.Tensor, begin: int, end: int) -> torch.Tensor:
        """Return outputs `begin` to `end` of activations that are rounded already."""
        y = torch._int_mm(whole, self.weight[begin:end].t()).float()
        y.mul_(scale).mul_(self.scale[begin:end])
        return y if self.bias is None else y.add_(self.bias[begin:end])


def in_int8(module: torch.nn.Module) -> None:
    """Put int8 in place of every linear layer, the output's among them."""
    for layer in list(module.modules()):
        for name, child in layer.named_children():
            if isinstance(child, torch.nn.Linear):
                setattr(layer, name, Int8Linear(child.weight, child.bias))
            elif isinstance(child, Conv1D):
                setattr(layer, name, Int8Linear(child.weight.t(), child.bias))


def _rounded(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows in int8 and the scale of each, of shape (n, 1)."""
    largest = x.abs().amax(dim=1, keepdim=True).clamp_min_(1e-30)
    return (x * (_LARGEST / largest)).round_().to(torch.int8), largest / _LARGEST
