"""Static embedders: a text's vector is a sum over its word pieces, so no network is run.

They are sentence-transformers' `StaticEmbedding` and `Normalize` with two departures: a piece
that stands there c times counts √c times, and vectors are int8. The tokenizer is a file of the
tokenizers library, of the kind that `tamis.kernels.wordpieces` knows. numpy and numba suffice.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tamis.data.formats import buffers
from tamis.errors import ModelError
from tamis.kernels.wordpieces import Table, damped_sums, table_of, word_pieces
from tamis.models.base import unit_rows
from tamis.models.fingerprint import digest, of_files

__all__ = ["StaticEmbedder", "tensors"]

_BYTES_TOGETHER = 1 << 20  # of text a thread takes at once
_CONTINUES = "##"
_DTYPES = {"F32": np.float32, "I8": np.int8}


class StaticEmbedder:
    """An embedder that looks the vectors of words up and adds them.

    Parameters
    ----------
    model : str
        A folder with `tokenizer.json` and `model.safetensors`.
    threads : int, optional
        Default: a thread a core. Never changes a vector.

    Attributes
    ----------
    vectors : int8 array of shape (vocabulary, d)
        Longer ones weigh more: the weight of a word is learnt with it.

    See Also
    --------
    SentenceTransformersEmbedder : encoders, which read words in their context.

    Notes
    -----
    Time is about 0.02 s a megabyte of English text and thread. Sums are of integers: a
    vector is the same to the last bit on any machine, in any batch.
    """

    def __init__(self, model: str, *, threads: int | None = None) -> None:
        folder = Path(model)
        self.name = f"static:{folder.name}"
        self.threads = threads or cpu_count() or 1
        try:
            self._table = _table(json.loads((folder / "tokenizer.json").read_text("utf-8")))
            self.vectors = tensors(folder / "model.safetensors")["embedding.weight"]
        except (OSError, KeyError, ValueError) as error:
            raise ModelError(
                f"{self.name}: {folder} is not a static embedder ({error}); give a folder with "
                "tokenizer.json and model.safetensors, or use sentence-transformers:"
            ) from error
        self._fingerprint = digest(of_files(folder))

    def __repr__(self) -> str:
        return f"StaticEmbedder({self.name!r})"

    @property
    def fingerprint(self) -> str:
        """Digest of the folder's vectors and words."""
        return self._fingerprint

    def embed(self, texts: Sequence[str] | pa.Array) -> npt.NDArray[np.float32]:
        """Return float32 of shape (n, d), rows of length 1; NaN for a text without words."""
        starts, pieces = self.pieces(texts)
        cuts = _cuts(starts)
        with ThreadPoolExecutor(self.threads) as threads:
            parts = threads.map(
                lambda first, last: unit_rows(
                    damped_sums(starts[first : last + 1], pieces, self.vectors)
                ),
                cuts[:-1],
                cuts[1:],
            )
            return np.concatenate([np.empty((0, self.vectors.shape[1]), np.float32), *parts])

    def pieces(
        self, texts: Sequence[str] | pa.Array
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Return the pieces of all texts end to end, and where each text's start."""
        lower = pc.utf8_lower(pa.array(texts, pa.large_string()))
        offsets, data = buffers(lower)
        cuts = _cuts(offsets)
        cut = partial(_pieces_of, offsets, data, self._table)
        with ThreadPoolExecutor(self.threads) as threads:
            parts = list(threads.map(cut, cuts[:-1], cuts[1:]))
        counts = [np.diff(starts) for starts, _ in parts]
        starts = np.concatenate([[0], *counts]).cumsum()
        return starts, np.concatenate([np.empty(0, np.int32), *(found for _, found in parts)])


def tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read a safetensors file: eight bytes of length, a JSON header, the arrays.

    Raises
    ------
    ValueError
        If it is not one.
    """
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
        return {
            name: np.frombuffer(
                content[8 + length :][slice(*about["data_offsets"])], _DTYPES[about["dtype"]]
            ).reshape(about["shape"])
            for name, about in header.items()
            if name != "__metadata__"
        }
    except (KeyError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path.name} is not safetensors of known types: {error}") from error


def _table(tokenizer: Mapping[str, Any]) -> Table:
    """Take the vocabulary from a byte-level WordPiece of the tokenizers library."""
    if tokenizer["model"]["type"] != "WordPiece" or _CONTINUES not in str(tokenizer["model"]):
        raise ValueError("its tokenizer is not a WordPiece with '##'")
    byte_of = _byte_of_letter()
    first: dict[bytes, int] = {}
    rest: dict[bytes, int] = {}
    for token, number in tokenizer["model"]["vocab"].items():
        if token == tokenizer["model"]["unk_token"]:
            continue
        goes_on = token.startswith(_CONTINUES) and token != _CONTINUES
        word = token.removeprefix(_CONTINUES) if goes_on else token
        (rest if goes_on else first)[bytes(map(byte_of.__getitem__, word))] = number
    return table_of(first, rest)


def _byte_of_letter() -> dict[str, int]:
    """Return the byte behind each letter of a byte-level vocabulary.

    Printable Latin-1 stands for itself, the rest for the letters from U+0100 on (GPT-2).
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    printable += range(ord("®"), ord("ÿ") + 1)
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + place): byte for place, byte in enumerate(hidden)
    }


def _pieces_of(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], table: Table, first: int, last: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    starts, pieces = word_pieces(offsets[first : last + 1], data, *table)
    return starts, pieces


def _cuts(offsets: npt.NDArray[np.int64]) -> list[int]:
    """Return the rows to cut at, so that each part has about as much as a thread takes."""
    part = (offsets - offsets[0]) // _BYTES_TOGETHER
    return [0, *(np.flatnonzero(np.diff(part[:-1])) + 1).tolist(), len(offsets) - 1]
