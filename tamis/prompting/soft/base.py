"""What every soft compressor is: a base model, low-rank additions to it, weights of its own."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError, ModelError, SettingError
from tamis.models import bundled
from tamis.models.base import LanguageModel, Prompt
from tamis.models.fingerprint import digest, of_tokenizer, of_values
from tamis.models.tokens import TextTokenizer
from tamis.models.transformers import TransformersLM

try:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    from tamis.models.lora import learner
    from tamis.models.passes import computing
    from tamis.models.tuning import trainable
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["Ids", "Loss", "SoftCompressor", "following", "last_states"]

Ids = npt.NDArray[np.int64]
Loss = tuple[torch.Tensor, int]
"""The sum of some tokens' losses, in nats, ready for a backward pass; and how many they are."""

_WEIGHTS, _CONFIG = "compressor.safetensors", "config.json"


class SoftCompressor(ABC):
    """A language model that is taught to write texts as few states.

    The base model is never changed: what learns are low-rank additions to its linear layers,
    and a few weights more. Those alone are saved.

    Parameters
    ----------
    base : LanguageModel or str
        Of the transformers backend.
    lora : int
        Rank of the additions.
    seed : int
        Of the first weights.
    **settings
        The method's own; they are saved too.

    Attributes
    ----------
    base : TransformersLM
        The model as it was given.
    lm : TransformersLM
        The model with its additions.
    own : torch.nn.Module
        What else learns.
    settings : dict
    losses_ : list of float
        Mean loss of a token at each step of the last training, in nats.
    """

    name: ClassVar[str]

    def __init__(
        self,
        base: LanguageModel | str,
        own: torch.nn.Module,
        *,
        lora: int,
        seed: int,
        **settings: Any,  # noqa: ANN401 - JSON values
    ) -> None:
        self.base = trainable(base, self.name)
        self._base_name = base if isinstance(base, str) else self.base.name
        self.settings = settings | {"lora": lora, "seed": seed}
        counts = {key: n for key, n in self.settings.items() if isinstance(n, int)}
        wrong = [f"{key}={n}" for key, n in counts.items() if n < 1 and key != "seed"]
        if wrong:
            raise SettingError(f"{self.name}: {', '.join(wrong)}; give 1 or more")
        self.lm = learner(self.base, lora, seed)
        self.own = own.to(self.base.module.device)
        self.losses_: list[float] = []

    def __repr__(self) -> str:
        said = ", ".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{type(self).__name__}({self._base_name!r}, {said})"

    @property
    def fingerprint(self) -> str:
        """Changes with the base model, with the settings, and with what was learnt."""
        weights = torch.nn.ParameterList(self.weights().values())
        return digest(self.name, self.settings, self._of_base(), of_values(weights))

    def weights(self) -> dict[str, torch.nn.Parameter]:
        """Return all that learns, by name."""
        learnt = self.lm.module.named_parameters()
        return {f"lm.{name}": p for name, p in learnt if p.requires_grad} | {
            f"own.{name}": p for name, p in self.own.named_parameters()
        }

    @abstractmethod
    def losses(self, rows: Sequence[Any], draw: np.random.Generator) -> Iterator[Loss]:
        """Yield the parts of a batch's loss; each is differentiated before the next is made."""

    def save(self, folder: str | Path) -> None:
        """Write what was learnt, and of which model it is a part.

        The base model is not written: it is loaded by its name.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: p.detach().cpu().contiguous() for name, p in self.weights().items()}
        save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
        config = {
            "method": self.name,
            "base": self._base_name,
            "fingerprint": self._of_base(),
            "settings": self.settings,
        }
        (folder / _CONFIG).write_text(json.dumps(config, indent=2) + "\n", "utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path, base: LanguageModel | str | None = None) -> Self:
        """Load what `save` wrote.

        Parameters
        ----------
        folder : str or Path
            'bundled' is the one that ships with tamis, where there is one.
        base : LanguageModel or str, optional
            The model it belongs to, in any precision; by default the one it names.

        Raises
        ------
        ModelError
            If the folder holds no compressor of this kind, or the model is another.
        """
        path = cls._shipped() if folder == "bundled" else Path(folder)
        try:
            config = json.loads((path / _CONFIG).read_text("utf-8"))
            tensors = load_file(path / _WEIGHTS)
            method, settings, name = config["method"], config["settings"], config["base"]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError(
                f"{cls.name}: {path} holds no soft compressor ({error}); "
                "give a folder that save or train wrote"
            ) from error
        if method != cls.name:
            raise ModelError(
                f"{cls.name}: {path} holds '{method}'; load it with the class of that name"
            )
        try:
            loaded = cls(name if base is None else base, **settings)
        except TypeError as error:
            raise ModelError(
                f"{cls.name}: {path} has settings that are not known here ({error}); "
                "load it with the version of tamis that wrote it"
            ) from error
        if config.get("fingerprint") != loaded._of_base():
            raise ModelError(
                f"{cls.name}: {path} was trained on other weights than {loaded.base.name} has; "
                f"give base= the model that it names ({name}), or train it again"
            )
        loaded._fill(tensors, path)
        return loaded

    @classmethod
    def _shipped(cls) -> Path:
        try:
            return bundled(cls.name)
        except ModelError as error:
            raise ModelError(f"{cls.name}: none ships with tamis; train one") from error

    def _fill(self, tensors: dict[str, torch.Tensor], path: Path) -> None:
        weights = self.weights()
        shapes = {name: p.shape for name, p in weights.items()}
        if {name: tensor.shape for name, tensor in tensors.items()} != shapes:
            raise ModelError(
                f"{self.name}: the weights in {path} are not those of its settings; train it again"
            )
        with torch.no_grad():
            for name, p in weights.items():
                p.copy_(tensors[name])

    def _of_base(self) -> str:
        """Return which weights and words the base model has, in whatever precision."""
        return digest(of_values(self.base.module), of_tokenizer(self.base.tokenizer))

    def _embedded(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of tokens, of shape (…, hidden)."""
        embeddings: torch.Tensor = self.base.module.get_input_embeddings()(ids)
        return embeddings.detach()

    def _batch(self, rows: Sequence[Ids]) -> torch.Tensor:
        """Lay rows of nearly one length beside each other, cut to the shortest."""
        shortest = min(len(row) for row in rows)
        ids = np.stack([row[:shortest] for row in rows])
        return torch.from_numpy(ids).to(self.base.module.device)


def following(lm: TransformersLM, prompt: Prompt) -> Ids:
    """Return the tokens of a prompt that goes on from something, and so does not begin a text."""
    reader = TextTokenizer(lm.tokenizer, lm.name)
    ids = reader.encode([prompt])[0].ids
    begins = ids[: len(reader.leading)].tolist() == reader.leading
    return ids[len(reader.leading) :] if begins else ids


def last_states(lm: TransformersLM, embeddings: torch.Tensor) -> torch.Tensor:
    """Return what the layers make of embeddings, in the precision of training.

    Parameters
    ----------
    lm : TransformersLM
    embeddings : tensor of shape (b, t, hidden)
        Each sees those before it.

    Returns
    -------
    tensor of shape (b, t, hidden)
        After the last norm.
    """
    with computing(lm):
        output = lm.module.base_model(inputs_embeds=embeddings.to(lm.module.dtype), use_cache=False)
    states: torch.Tensor = output.last_hidden_state
    return states
