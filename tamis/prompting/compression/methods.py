"""Compressors by name, one a file."""

from importlib import import_module
from typing import TYPE_CHECKING

from tamis.errors import SettingError, did_you_mean

if TYPE_CHECKING:
    from tamis.prompting.compression.base import Compressor

__all__ = ["REGISTRY", "get", "names"]

REGISTRY = {
    "llmlingua": "llmlingua:LLMLingua",
    "longllmlingua": "longllmlingua:LongLLMLingua",
    "pcrl": "reinforced:PCRL",
    "random": "baselines:RandomWords",
    "selective-context": "selective_context:SelectiveContext",
    "token-classifier": "token_classifier:TokenClassifier",
    "truncate": "baselines:Truncate",
}


def names() -> list[str]:
    """Return the names of all methods, sorted."""
    return sorted(REGISTRY)


def get(name: str) -> "type[Compressor]":
    """Return the class of the method called `name`.

    Raises
    ------
    SettingError
        If there is none; the nearest right name is said.
    """
    if name not in REGISTRY:
        raise SettingError(f"no method '{name}'; {did_you_mean(name, REGISTRY)}")
    module, _, kind = REGISTRY[name].partition(":")
    return getattr(import_module(f"tamis.prompting.compression.{module}"), kind)  # type: ignore[no-any-return]
