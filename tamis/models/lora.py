"""Copies of a language model: one to train, whole or by LoRA; one that is still; one merged."""

import copy

from tamis.errors import MissingExtraError, ModelError
from tamis.models.transformers import TransformersLM

try:
    import torch
    from torch.nn import functional
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["LORA_SCALE", "LoRA", "frozen", "learner", "merged"]

LORA_SCALE = 2.0  # the papers' alpha / rank, as in most recipes


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
