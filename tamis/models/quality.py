"""The bundled quality scorer: how good an answer is to its prompt, from 0 to 5.

A perceptron of one hidden layer over what an answer looks like: length, variety, endings, how
much it copies, how near it is to its prompt. It was taught to prefer, of two answers, the one
that people wrote or a judge preferred; see `training/quality.py`.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tamis.data.formats import buffers
from tamis.errors import ModelError
from tamis.kernels.answers import byte_counts, piece_counts
from tamis.models import bundled
from tamis.models.fingerprint import digest, of_files
from tamis.models.judges import Ratings
from tamis.models.static import StaticEmbedder, tensors

__all__ = ["QualityScorer", "looks"]

Floats = npt.NDArray[np.float64]

_TOGETHER = 4096  # answers whose features are held at once


class QualityScorer:
    """Rates answers without a large model.

    Parameters
    ----------
    folder : str
        With `model.safetensors` and `config.json`.
    embedder : StaticEmbedder, optional
        The one it was trained on; by default the bundled one.

    Notes
    -----
    It is a floor. It sees words, not their truth: a fluent wrong answer to a question
    scores as well as a right one. Its model card says how far it agrees with judges.
    """

    def __init__(self, folder: str, embedder: StaticEmbedder | None = None) -> None:
        embedder = embedder or StaticEmbedder(str(bundled("embedder")))
        self.folder, self.embedder = Path(folder), embedder
        try:
            self._weights = {
                name: found.astype(np.float64)
                for name, found in tensors(self.folder / "model.safetensors").items()
            }
            self.config = json.loads((self.folder / "config.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"quality: {self.folder} is not a quality scorer ({error}); "
                "give the folder that training/quality.py wrote"
            ) from error
        if self.config["embedder"] != embedder.fingerprint:
            raise ModelError(
                f"quality: was trained on another embedder than {embedder}; train both again"
            )

    def __repr__(self) -> str:
        return f"QualityScorer({self.folder.name!r})"

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the scorer and its embedder."""
        return digest(of_files(self.folder), self.embedder.fingerprint)

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return float32 of shape (n,), 0 to 5; NaN for a response without words.

        Five times the chance that the response is good, as `logits` gives it.
        """
        return (5 / (1 + np.exp(-self.logits(prompts, responses)))).astype(np.float32)

    def rate(self, prompts: Sequence[str], responses: Sequence[str]) -> Ratings:
        """Rate each response to its prompt, as a judge does; it has no words for it."""
        scores = self.score(prompts, responses).astype(np.float64)
        return Ratings(scores, [""] * len(scores))

    def logits(self, prompts: Sequence[str], responses: Sequence[str]) -> Floats:
        """Return log-odds, float64 of shape (n,): 0 where good and bad are as likely."""
        found = [
            self._logits(prompts[i : i + _TOGETHER], responses[i : i + _TOGETHER])
            for i in range(0, len(prompts), _TOGETHER)
        ]
        return np.concatenate([np.empty(0), *found])

    def _logits(self, prompts: Sequence[str], responses: Sequence[str]) -> Floats:
        w = self._weights
        x = (looks(self.embedder, prompts, responses) - w["mean"]) / w["scale"]
        # Not `x @ w`: BLAS may round a row differently in another batch.
        hidden = np.maximum(np.einsum("nf,hf->nh", x, w["hidden"]) + w["hidden_bias"], 0)
        added: Floats = (hidden * w["out"]).sum(axis=1) + (x * w["direct"]).sum(axis=1)
        return added * float(self.config["slope"]) + float(self.config["shift"])


def looks(embedder: StaticEmbedder, prompts: Sequence[str], responses: Sequence[str]) -> Floats:
    """Return what the scorer looks at.

    Returns
    -------
    float64 array of shape (n, 16)
        A row of NaN where the response has no words.

    Notes
    -----
    The vectors themselves are left out: on eight thousand judgements a scorer that sees
    them learns those judgements by heart.
    """
    asked, answered = embedder.pieces(prompts), embedder.pieces(responses)
    pieces = piece_counts(*asked, *answered, len(embedder.vectors)).astype(np.float64)
    found = byte_counts(*buffers(pa.array(responses, pa.large_string()))).astype(np.float64)
    prompt = np.nan_to_num(embedder.embed(prompts))  # no prompt: nothing in common with it
    response = embedder.embed(responses)
    near = (prompt * response).sum(axis=1, keepdims=True)
    return np.hstack([_form(pieces, found), near])


def _form(pieces: Floats, found: Floats) -> Floats:
    asked, answered, distinct, shared, pairs = pieces.T
    size, capitals, digits, marks, lines, sentences, ended, other = found.T
    n, length = np.maximum(answered, 1), np.maximum(size, 1)
    return np.column_stack(
        [
            np.log1p(asked),
            np.log1p(answered),
            np.log1p(answered) ** 2,
            np.log1p(answered) - np.log1p(asked),
            np.log1p(lines),
            np.log1p(sentences),
            ended,
            distinct / n,
            shared / n,
            pairs / n,
            capitals / length,
            digits / length,
            marks / length,
            other / length,
            answered / np.maximum(sentences, 1) / 20,
        ]
    )
