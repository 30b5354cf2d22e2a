"""Encoders that give each token of a text a probability of being kept.

The published LLMLingua-2 checkpoints are such models: token classifiers with two classes,
of which the second is 'keep'.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError, ModelError
from tamis.models.fingerprint import digest, of_config, of_tokenizer, of_weights

try:
    import torch
    import transformers

    from tamis.models.packed import OneDNN
    from tamis.models.transformers import no_bar
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["Tagged", "Tagger"]

_READ = 512  # tokens: what the published models were trained on


@dataclass(frozen=True, eq=False)
class Tagged:
    """The tokens of a text.

    Attributes
    ----------
    spans : int64 array of shape (t, 2)
    tokens : list of str
        As the vocabulary has them.
    special : bool array of shape (t,)
        Whether a token stands for no text: an unknown word, say.
    keep : float32 array of shape (t,)
        Probabilities.
    """

    spans: npt.NDArray[np.int64]
    tokens: list[str]
    special: npt.NDArray[np.bool_]
    keep: npt.NDArray[np.float32]


class Tagger:
    """A token classifier of transformers.

    Parameters
    ----------
    model : str or PreTrainedModel
        A hub id, a folder, or a model in memory (then `tokenizer` is needed).
    tokenizer : str or PreTrainedTokenizerBase, optional
        Default: what lies beside the model.
    device : str, optional
        Default: a GPU where there is one.
    batch_tokens : int, optional
        Tokens run together, padding included; default 2048 on a CPU, 32768 on a GPU.
    **options
        For `AutoModelForTokenClassification.from_pretrained`.

    Attributes
    ----------
    context : int
        The longest text it reads, in tokens, without those that frame it.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - the library's own
        *,
        tokenizer: Any = None,  # noqa: ANN401
        device: str | None = None,
        batch_tokens: int | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.name = f"transformers:{model if isinstance(model, str) else type(model).__name__}"
        if isinstance(model, str):
            try:
                if tokenizer is None or isinstance(tokenizer, str):
                    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer or model)
                kind = transformers.AutoModelForTokenClassification
                if device == "cpu":
                    options.setdefault("dtype", torch.float32)  # whatever the file holds
                with no_bar(model):
                    model = kind.from_pretrained(model, **options).to(device)
            except (OSError, ValueError) as error:
                said = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise ModelError(f"{self.name}: cannot be loaded ({said})") from error
        if tokenizer is None:
            raise ModelError(f"{self.name}: a model in memory comes without words; give tokenizer=")
        self.module, self.tokenizer = model.eval(), tokenizer
        self.framing = len(tokenizer("")["input_ids"])
        longest = getattr(model.config, "max_position_embeddings", None) or _READ
        self.context = min(_READ, longest) - self.framing
        self.batch_tokens = batch_tokens or (2048 if self.module.device.type == "cpu" else 32768)

    def __repr__(self) -> str:
        return f"Tagger({self.name!r})"

    @property
    def fingerprint(self) -> str:
        """Digest of weights, configuration and words."""
        return digest(
            of_weights(self.module), of_config(self.module.config), of_tokenizer(self.tokenizer)
        )

    def ends(self, text: str) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Return where the tokens of a text of any length end, and the tokens."""
        said = self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        spans = np.array(said["offset_mapping"], np.int64).reshape(-1, 2)
        return spans[:, 1], self.tokenizer.convert_ids_to_tokens(said["input_ids"])

    def tag(self, texts: Sequence[str]) -> list[Tagged]:
        """Return the tokens of each text with their probabilities; what is too long is cut."""
        if not texts:
            return []
        said = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.context + self.framing,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            return_attention_mask=False,
        )
        ids = [np.array(row, np.int64) for row in said["input_ids"]]
        keep = self._probabilities(ids)
        results = []
        for i, row in enumerate(ids):
            own = ~np.array(said["special_tokens_mask"][i], bool)
            spans = np.array(said["offset_mapping"][i], np.int64).reshape(-1, 2)[own]
            results.append(
                Tagged(
                    spans,
                    self.tokenizer.convert_ids_to_tokens(row[own].tolist()),
                    np.isin(row[own], self.tokenizer.all_special_ids),
                    keep[i][own],
                )
            )
        return results

    def _probabilities(self, ids: list[npt.NDArray[np.int64]]) -> list[npt.NDArray[np.float32]]:
        """Return the probability of each token, the longest texts first, padded as little."""
        results: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)] * len(ids)
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        at = 0
        while at < len(order):
            longest = len(ids[order[at]])
            some = order[at : at + max(1, self.batch_tokens // max(1, longest))]
            rows = np.full((len(some), longest), self.tokenizer.pad_token_id or 0)
            for row, i in zip(rows, some, strict=True):
                row[: len(ids[i])] = ids[i]
            lengths = np.array([len(ids[i]) for i in some])
            mask = torch.from_numpy(np.arange(longest) < lengths[:, None])
            with torch.inference_mode(), OneDNN():
                logits = self.module(
                    input_ids=torch.from_numpy(rows).to(self.module.device),
                    attention_mask=mask.long().to(self.module.device),
                ).logits
                probabilities = logits.float().softmax(-1)[..., 1].cpu().numpy()
            for i, row in zip(some, probabilities, strict=True):
                results[i] = row[: len(ids[i])]
            at += len(some)
        return results
