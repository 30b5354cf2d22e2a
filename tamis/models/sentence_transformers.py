"""Embedders of the sentence-transformers library: encoders, and static ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError, ModelError
from tamis.models.base import unit_rows
from tamis.models.fingerprint import digest, folder_of, of_files, of_weights

__all__ = ["SentenceTransformersEmbedder"]


class SentenceTransformersEmbedder:
    """An embedding model made for retrieval and clustering.

    For encoders of MiniLM's size this is the quickest backend; for those of billions of
    parameters see `VLLMEmbedder`.

    Parameters
    ----------
    model : str or SentenceTransformer
        A hub id, a folder, or a model in memory.
    backend : str
        'torch', 'onnx' or 'openvino'; the last two need
        `pip install "sentence-transformers[onnx]"` (for now with "transformers<4.58") or
        `[openvino]`.
    prompt : str, optional
        Put before every text, as some models want ('passage: '); default the model's own.
    batch_size : int
        Texts run together, of about one length.
    **options
        For `SentenceTransformer` (`device`, `revision`, `truncate_dim`, `model_kwargs`, …).
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - a str, or the library's own class
        *,
        backend: str = "torch",
        prompt: str | None = None,
        batch_size: int = 64,
        **options: Any,  # noqa: ANN401 - the library's own
    ) -> None:
        self.backend, self.prompt, self.batch_size, self.options = (
            backend,
            prompt,
            batch_size,
            options,
        )
        self.source = model if isinstance(model, str) else type(model).__name__
        shown = Path(self.source).name if Path(self.source).is_dir() else self.source
        self.name = f"sentence-transformers:{shown}"
        self.model = self._loaded(model, options) if isinstance(model, str) else model

    def __repr__(self) -> str:
        return f"SentenceTransformersEmbedder({self.name!r})"

    @property
    def fingerprint(self) -> str:
        """Digest of weights, words and pooling, and of the way they are used."""
        if self.backend == "torch":
            weights = [of_weights(self.model), str(self.model), *map(_words, self.model)]
        else:
            weights = [of_files(folder_of(self.source, self.options.get("revision")))]
        prompts = [self.prompt, self.model.default_prompt_name, self.model.prompts]
        return digest(self.backend, prompts, self.model.truncate_dim, *weights)

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return float32 of shape (n, d), rows of length 1; NaN for an empty text.

        A text longer than the model reads is cut there.
        """
        held = [i for i, text in enumerate(texts) if text]
        if not held:
            width = self.model.get_embedding_dimension() or 0
            return np.full((len(texts), width), np.nan, np.float32)
        found = self.model.encode(
            [texts[i] for i in held],
            prompt=self.prompt,
            batch_size=self.batch_size,
            show_progress_bar=False,
        )
        points = np.full((len(texts), found.shape[1]), np.nan)
        points[held] = found
        return unit_rows(points)

    def _loaded(self, model: str, options: dict[str, Any]) -> Any:  # noqa: ANN401
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtraError("sentence-transformers", "models") from error
        try:
            return SentenceTransformer(model, backend=self.backend, **options)
        except (OSError, ValueError, TypeError, ImportError) as error:
            said = " ".join(str(error).split())[:200]
            raise ModelError(f"{self.name}: cannot be loaded ({said})") from error


def _words(module: Any) -> str:  # noqa: ANN401 - a module of sentence-transformers
    """Return the digest of a module's tokenizer, where it has one."""
    words: Any = getattr(module, "tokenizer", None)
    words = getattr(words, "backend_tokenizer", words)
    return digest(words.to_str()) if hasattr(words, "to_str") else ""
