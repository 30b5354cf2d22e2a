"""The gradients of single examples by a model's LoRA, many in one backward pass.

A linear layer with thin matrices D (down, r × in) and U (up, out × r) adds s U D x to what
it gives. With X what went in and Δ = ∂loss/∂output what came back, a row a token, the
gradients of an example's loss are sums over the example's own rows:

    ∂D = s (Δ U)ᵀ X        ∂U = s Δᵀ (X Dᵀ)

So examples are laid end to end, where they do not see one another; one backward pass through
the activations alone gives everybody's Δ, and from its rows each gets its gradient.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError, ModelError
from tamis.models.tokens import Piece
from tamis.models.transformers import TransformersLM

try:
    import torch

    from tamis.models.lora import LORA_SCALE, LoRA, learner
    from tamis.models.passes import passes
    from tamis.models.tuning import Tuning
except ImportError as error:
    raise MissingExtraError("torch", "models") from error

__all__ = ["Checkpoint", "adapted", "example_gradients", "warm_up"]

Floats = npt.NDArray[np.float32]

_HELD = 2**23  # numbers of gradients at a time: 32 MB


class Checkpoint(NamedTuple):
    """A model's LoRA after an epoch of training, and what Adam knew then.

    Attributes
    ----------
    values : float32 array of shape (p,)
        `down` and `up` of each layer, one after the other.
    first, second : float32 arrays of shape (p,)
        Adam's moments, not corrected for their bias.
    steps : int
        That Adam had taken.
    rate : float
        Mean learning rate of the epoch.
    """

    values: Floats
    first: Floats
    second: Floats
    steps: int
    rate: float


def warm_up(
    lm: TransformersLM,
    prompts: Sequence[str],
    responses: Sequence[str],
    *,
    lora: int,
    epochs: int,
    **settings: Any,  # noqa: ANN401 - the tuning's own
) -> list[Checkpoint]:
    """Train a LoRA; return it as it is after each epoch. The settings are those of `tune`."""
    tuning = Tuning(lm, prompts, responses, lora=lora, epochs=epochs, **settings)
    learning = _matrices(tuning.lm)
    checkpoints = []
    for epoch in range(epochs):
        before = len(tuning.rates)
        tuning.run(epoch)
        states = [tuning.optimizer.state[matrix] for matrix in learning]
        checkpoints.append(
            Checkpoint(
                _flat(learning),
                _flat(state["exp_avg"] for state in states),
                _flat(state["exp_avg_sq"] for state in states),
                len(tuning.rates),
                float(np.mean(tuning.rates[before:])),
            )
        )
    return checkpoints


def adapted(lm: TransformersLM, values: Floats, lora: int) -> TransformersLM:
    """Return a model that shares the weights of `lm`, with the LoRA of a checkpoint."""
    copy = learner(lm, lora, seed=0)
    matrices = _matrices(copy)
    ends = np.cumsum([matrix.numel() for matrix in matrices])[:-1]
    with torch.no_grad():
        for matrix, part in zip(matrices, np.split(values, ends), strict=True):
            matrix.copy_(torch.from_numpy(part).view_as(matrix))
    return copy


def example_gradients(
    lm: TransformersLM, pieces: Sequence[Piece]
) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
    """Yield the gradients of the pieces' mean losses by the LoRA of `lm`.

    Parameters
    ----------
    lm : TransformersLM
        One that `adapted` gave, or `tune`, with a LoRA.
    pieces : sequence of Piece

    Yields
    ------
    which : int64 array of shape (m,)
        Pieces; each comes once.
    gradients : float32 array of shape (m, p)
        In the order of `Checkpoint.values`.

    Notes
    -----
    4 operations a token and parameter of the model, for a forward and a backward pass
    through the activations, and 4 r (in + out) a token and layer. Memory that of the
    activations of `lm.batch_tokens` tokens, and 32 MB of gradients, or those of one example.
    """
    layers = _layers(lm)
    together = max(1, _HELD // sum(matrix.numel() for matrix in _matrices(lm)))
    with lm._explained_memory(), _traced(lm, layers) as traces:
        for which, spans, loss in passes(lm, pieces, apart=True):
            loss.backward()
            factors = [trace.factors() for trace in traces]
            for start in range(0, len(which), together):
                some = which[start : start + together]
                gradients = torch.stack(
                    [_of_example(factors, *span) for span in spans[start : start + together]]
                )
                counts = [len(pieces[i].ids) - pieces[i].first for i in some]
                yield some, gradients.cpu().numpy() / np.array(counts, np.float32)[:, None]


class _Trace:
    """What went through a layer with LoRA: its input, and the gradient of its output."""

    def __init__(self, layer: LoRA) -> None:
        self.layer = layer
        self._in: Any = None
        self._back: Any = None

    def forward(self, _: Any, inputs: tuple["torch.Tensor"], output: "torch.Tensor") -> None:  # noqa: ANN401
        """Note a call; a forward hook."""
        if not output.requires_grad:
            return  # the model tries out how it can be run
        if self._in is not None:
            raise ModelError("gradients of examples: a layer is used twice; try another model")
        self._in = inputs[0].detach()
        output.register_hook(self._returned)

    def _returned(self, gradient: "torch.Tensor") -> None:
        self._back = gradient

    def factors(self) -> "tuple[torch.Tensor, ...]":
        """Return the factors of ∂D and of ∂U, a row a token, and forget the pass."""
        x, back = (tensor.flatten(0, -2).float() for tensor in (self._in, self._back))
        self._in = self._back = None
        scaled = LORA_SCALE * back
        return scaled @ self.layer.up, x, scaled, x @ self.layer.down.T


def _of_example(factors: "list[tuple[torch.Tensor, ...]]", start: int, end: int) -> "torch.Tensor":
    """Return the flat gradient of the example whose rows are from `start` up to `end`."""
    parts = []
    for left_down, right_down, left_up, right_up in factors:
        parts.append((left_down[start:end].T @ right_down[start:end]).ravel())
        parts.append((left_up[start:end].T @ right_up[start:end]).ravel())
    return torch.cat(parts)


@contextmanager
def _traced(lm: TransformersLM, layers: list[LoRA]) -> Iterator[list[_Trace]]:
    """Trace the layers; let gradients flow through the activations, and to no parameter."""
    traces = [_Trace(layer) for layer in layers]
    with ExitStack() as hooks:
        for parameter in [p for p in lm.module.parameters() if p.requires_grad]:
            hooks.callback(parameter.requires_grad_, True)
            parameter.requires_grad_(False)
        words = lm.module.get_input_embeddings()
        hooks.callback(words.register_forward_hook(_asks_for_gradients).remove)
        for layer, trace in zip(layers, traces, strict=True):
            hooks.callback(layer.register_forward_hook(trace.forward).remove)
        yield traces


def _asks_for_gradients(_: Any, __: Any, output: "torch.Tensor") -> "torch.Tensor":  # noqa: ANN401
    return output.requires_grad_()


def _layers(lm: TransformersLM) -> list[LoRA]:
    return [layer for layer in lm.module.modules() if isinstance(layer, LoRA)]


def _matrices(lm: TransformersLM) -> "list[torch.nn.Parameter]":
    return [matrix for layer in _layers(lm) for matrix in (layer.down, layer.up)]


def _flat(tensors: "Iterable[torch.Tensor]") -> Floats:
    return np.concatenate([tensor.detach().float().cpu().numpy().ravel() for tensor in tensors])
