"""A policy over a text's tokens: keep or remove each, on what a frozen encoder says of it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tamis.errors import MissingExtraError, ModelError
from tamis.models.tagger import Tagger

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["Policy", "load_policy", "save_policy"]

_CAUTION = 3.0  # log-odds of keeping, before anything is learnt
_FILE = "policy.safetensors"


class Policy(torch.nn.Module):  # type: ignore[misc]
    """An encoder that stays as it is, and a perceptron on its states that learns.

    Parameters
    ----------
    encoder : module
        Returns `last_hidden_state`; has a `config` with `hidden_size`.
    width : int
        Of the perceptron's hidden layer; 4096 in the paper, on a larger encoder.

    Notes
    -----
    Class 1 is 'keep', as with every other tagger; in the released code action 1 removes.
    """

    def __init__(self, encoder: Any, width: int) -> None:  # noqa: ANN401 - the library's own
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self.config = encoder.config
        size = int(self.config.hidden_size)
        self.head = torch.nn.Sequential(
            torch.nn.Linear(size, width), torch.nn.GELU(), torch.nn.Linear(width, 2)
        )
        torch.nn.init.zeros_(self.head[2].weight)
        self.head[2].bias.data = torch.tensor([-_CAUTION / 2, _CAUTION / 2])

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.head[0].weight.device

    def forward(self, **inputs: torch.Tensor) -> SimpleNamespace:
        """Return `logits`, of shape (n, t, 2), for what an encoder is given."""
        return SimpleNamespace(logits=self.head(self.encoder(**inputs).last_hidden_state))


def load_policy(
    folder: str | Path, device: str | None = None, tokenizer: str | None = None
) -> Tagger:
    """Load a policy that `save_policy` wrote beside a token classifier, as a tagger."""
    folder = Path(folder)
    try:
        weights = load_file(folder / _FILE)
        tagger = Tagger(str(folder), device=device, tokenizer=tokenizer)
    except (OSError, ValueError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"policy {folder.name}: cannot be loaded ({said})") from error
    policy = Policy(tagger.module.base_model, len(weights["0.weight"]))
    policy.head.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return Tagger(policy.to(tagger.module.device), tokenizer=tagger.tokenizer)


def save_policy(tagger: Tagger, folder: str | Path) -> None:
    """Write a policy beside its encoder, in float16."""
    weights = {name: w.half().contiguous() for name, w in tagger.module.head.state_dict().items()}
    save_file(weights, Path(folder) / _FILE)
