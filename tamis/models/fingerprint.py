"""What a model is, in 32 characters: another one wherever an answer could differ."""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = [
    "digest",
    "folder_of",
    "of_config",
    "of_files",
    "of_tokenizer",
    "of_values",
    "of_weights",
    "seed_of",
]

_WEIGHTS_AND_WORDS = {".safetensors", ".bin", ".gguf", ".onnx", ".json", ".model", ".jinja", ".txt"}
_SAYS_NOTHING = {"_name_or_path", "transformers_version", "_attn_implementation"}


def digest(*parts: object) -> str:
    """Return 32 hexadecimal characters for any JSON values.

    >>> digest("gpt2", {"dtype": "float32"}) == digest("gpt2", {"dtype": "bfloat16"})
    False
    """
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def seed_of(*parts: object) -> int:
    """Return a seed, from 0 to 2**31 - 1, for any JSON values."""
    return int(digest(*parts)[:8], 16) >> 1


def folder_of(model: str, revision: str | None = None) -> Path:
    """Return the folder of a model that was loaded: its own, or its snapshot in the hub's cache."""
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model, revision=revision, local_files_only=True))


def of_weights(module: "torch.nn.Module") -> str:
    """Return the digest of every parameter and buffer: name, dtype, shape and bytes."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    with ThreadPoolExecutor() as threads:  # hashing releases the interpreter's lock
        return digest(*threads.map(_of_tensor, tensors))


def of_values(module: "torch.nn.Module") -> str:
    """Return the digest of every parameter rounded to bfloat16.

    The same in whatever precision a model is loaded: it says which weights they are, and
    not how exactly they compute.
    """
    return digest(*(_of_tensor((name, p.bfloat16())) for name, p in module.named_parameters()))


def of_config(config: Any) -> str:  # noqa: ANN401 - a PreTrainedConfig
    """Return the digest of a configuration, without what names its place or its maker."""
    kept = {key: value for key, value in config.to_dict().items() if key not in _SAYS_NOTHING}
    return digest(kept)


def of_tokenizer(tokenizer: Any) -> str:  # noqa: ANN401 - a PreTrainedTokenizerBase
    """Return the digest of a fast tokenizer and its chat template."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    for transient in ("padding", "truncation"):  # set by whoever called last
        state.pop(transient, None)
    return digest(state, tokenizer.chat_template)


def of_files(folder: Path) -> str:
    """Return the digest of a model's folder: its weights, tokenizer and configuration.

    In a hub cache a file is a link to a blob that is named by its content: that name is
    taken, and the weights are not read.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix in _WEIGHTS_AND_WORDS)
    return digest(*_of_each(folder, files))


def _of_each(folder: Path, files: Iterable[Path]) -> Iterable[tuple[str, str]]:
    for file in files:
        if file.is_symlink() and file.resolve().parent.name == "blobs":
            yield str(file.relative_to(folder)), file.resolve().name
        else:
            with file.open("rb") as stream:
                yield (
                    str(file.relative_to(folder)),
                    hashlib.file_digest(
                        stream, lambda: hashlib.blake2b(digest_size=16)
                    ).hexdigest(),
                )


def _of_tensor(named: "tuple[str, torch.Tensor]") -> tuple[str, str, list[int], str]:
    import torch

    name, tensor = named
    data = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    content = hashlib.blake2b(data, digest_size=16).hexdigest()
    return name, str(tensor.dtype), list(tensor.shape), content
