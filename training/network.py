"""A Llama small enough to train on two cores: weights named as transformers names them.

The body runs in bfloat16 wherever it is; the loss over the vocabulary is taken a few hundred
tokens at a time, so that float32 logits of a batch are never held, and its gradient is worked
out on the way: on a CPU that is four times faster than autograd through `cross_entropy`.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD = 64
"""Width of an attention head: one that every attention kernel of vLLM has."""

THETA = 10_000.0
_CHUNK = 512  # tokens of logits held at once


@dataclass(frozen=True)
class Size:
    """The shape of a Llama whose width is a multiple of 64."""

    layers: int
    hidden: int
    inner: int
    vocabulary: int = 8192
    context: int = 1024


class Norm(nn.Module):
    """Root-mean-square normalisation with a learnt scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Scale rows to a root mean square of 1, then by the weight."""
        return F.rms_norm(x, self.weight.shape, self.weight, 1e-5)


class Attention(nn.Module):
    """Causal attention with rotary positions."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(size.hidden, size.hidden, bias=False))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Mix what stands before each token into it."""
        batch, length, width = x.shape
        heads = (batch, length, -1, HEAD)
        q, k, v = (
            project(x).view(heads).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = F.scaled_dot_product_attention(
            _turned(q, cos, sin), _turned(k, cos, sin), v, is_causal=True
        )
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, width))


class Gated(nn.Module):
    """The SwiGLU perceptron."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(size.hidden, size.inner, bias=False)
        self.up_proj = nn.Linear(size.hidden, size.inner, bias=False)
        self.down_proj = nn.Linear(size.inner, size.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token by itself."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention, then a perceptron, each added to what it read."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.input_layernorm, self.self_attn = Norm(size.hidden), Attention(size)
        self.post_attention_layernorm, self.mlp = Norm(size.hidden), Gated(size)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Run the layer."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """Embedding, layers, norm; the output layer is the embedding again."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(size.vocabulary, size.hidden)
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.layers))
        self.norm = Norm(size.hidden)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02)
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(weight)  # every layer starts as the identity

    def forward(self, tokens: Tensor) -> Tensor:
        """Return hidden states of shape (batch, length, hidden)."""
        x = self.embed_tokens(tokens)
        steps = torch.arange(0, HEAD, 2, device=x.device) / HEAD
        angles = torch.outer(torch.arange(tokens.shape[1], device=x.device), THETA**-steps)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class TokenLoss(torch.autograd.Function):
    """Mean cross-entropy of `targets` given hidden states and the output layer."""

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:  # noqa: ANN001
        """Sum the loss over chunks, keeping only its two gradients."""
        d_hidden, d_weight = torch.empty_like(hidden), torch.zeros_like(weight, dtype=torch.float32)
        total = hidden.new_zeros((), dtype=torch.float32)
        for start in range(0, len(hidden), _CHUNK):
            part, right = hidden[start : start + _CHUNK], targets[start : start + _CHUNK]
            at = torch.arange(len(part), device=part.device)
            gradient = torch.softmax((part @ weight.T).float(), -1)
            total -= gradient[at, right].clamp_min(1e-30).log().sum()
            gradient[at, right] -= 1  # d loss / d logits = softmax - one-hot
            gradient = gradient.to(hidden.dtype)
            d_hidden[start : start + _CHUNK] = gradient @ weight
            d_weight += gradient.T @ part
        ctx.save_for_backward(d_hidden / len(hidden), (d_weight / len(hidden)).to(weight.dtype))
        return total / len(hidden)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN001
        """Scale the gradients that `forward` kept."""
        d_hidden, d_weight = ctx.saved_tensors
        return d_hidden * upstream, d_weight * upstream, None
