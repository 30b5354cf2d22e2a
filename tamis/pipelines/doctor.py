"""What works on this machine, and what to install for the rest."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from tamis import models
from tamis.data.files import home
from tamis.errors import MissingExtraError, TamisError
from tamis.selectors import names

__all__ = ["Finding", "examine"]

# Package to look for, what it lets a model string begin with, and the extra that brings it.
_BACKENDS = [
    ("transformers", "transformers:ID", "models"),
    ("sentence_transformers", "sentence-transformers:ID", "models"),
    ("vllm", "vllm:ID", "vllm"),
    ("httpx", "openai:ID, any compatible server", "openai"),
    ("ray", "--engine ray, more than one machine", "ray"),
]
_SENTENCE = "The sky is blue."


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is usable, what was found, and the mend if it is not."""

    what: str
    usable: bool
    found: str
    mend: str = ""

    def as_plain(self) -> dict[str, object]:
        """Return the finding as JSON values."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at methods, the home folder, the bundled models, backends and devices.

    The bundled models are tried on a sentence; of a backend only the package is looked for,
    since a model of its own would have to be fetched.
    """
    return [
        Finding("methods", True, ", ".join(names())),
        _home(),
        _tried("bundled embedder", _embeds),
        _tried("bundled judge", _judges),
        _tried("bundled language model", _scores),
        *(_package(module, use, extra) for module, use, extra in _BACKENDS),
        Finding("CPU", True, f"{os.cpu_count()} cores"),
        _gpu(),
    ]


def _home() -> Finding:
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".doctor"
        probe.touch()
        probe.unlink()
    except OSError as error:
        mend = "set TAMIS_HOME to a folder that can be written"
        return Finding("home", False, f"{folder} ({error.strerror})", mend)
    return Finding("home", True, str(folder))


def _tried(what: str, trial: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, trial())
    except MissingExtraError as error:
        reason, _, mend = str(error).partition(": ")
        return Finding(what, False, reason, mend)
    except TamisError as error:
        return Finding(what, False, str(error), "install tamis again")


def _embeds() -> str:
    return f"vectors of {models.load_embedder('bundled').embed([_SENTENCE]).shape[1]} numbers"


def _judges() -> str:
    rated = models.load_judge("bundled").rate(["What colour is the sky?"], [_SENTENCE])
    return f"rates {_SENTENCE!r} {rated.scores[0]:.1f} of 5"


def _scores() -> str:
    (scored,) = models.load("bundled").logprobs([_SENTENCE])
    return f"gives {_SENTENCE!r} {-scored.mean:.1f} nats a token"


def _package(module: str, use: str, extra: str) -> Finding:
    what = f"{module.replace('_', '-')} ({use})"
    if find_spec(module) is None:
        return Finding(what, False, "not installed", f'pip install "tamis[{extra}]"')
    try:
        return Finding(what, True, version(module.replace("_", "-")))
    except PackageNotFoundError:
        return Finding(what, True, "installed")


def _gpu() -> Finding:
    if find_spec("torch") is None:
        return Finding("GPU", False, "unknown without torch", 'pip install "tamis[models]"')
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", False, "none seen", "everything runs on the CPU, more slowly")
    return Finding("GPU", True, torch.cuda.get_device_name(0))
