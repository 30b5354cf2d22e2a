"""What works on this machine, and what to install for the rest."""

from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from tamis.data.files import home
from tamis.selectors import names

__all__ = ["Finding", "examine"]

# Package to look for, what it is for, and the extra that brings it.
_OPTIONAL = [
    ("torch", "tensors", "models"),
    ("transformers", "language models on this machine", "models"),
    ("sentence_transformers", "embeddings", "models"),
    ("vllm", "language models on GPUs", "vllm"),
    ("httpx", "language models over HTTP", "openai"),
    ("ray", "more than one machine", "ray"),
]


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
    """Look at methods, the home folder, optional packages and devices."""
    return [
        Finding("methods", True, ", ".join(names())),
        _home(),
        *(_package(module, use, extra) for module, use, extra in _OPTIONAL),
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
