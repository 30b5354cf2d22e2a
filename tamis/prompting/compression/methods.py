"""Compressors by name, one a file."""

from typing import TYPE_CHECKING

from tamis.registry import Registry

if TYPE_CHECKING:
    from tamis.prompting.compression.base import Compressor

__all__ = ["get", "names"]

_REGISTRY: "Registry[Compressor]" = Registry(
    "tamis.prompting.compression",
    "method",
    {
        "llmlingua": "LLMLingua",
        "longllmlingua": "LongLLMLingua",
        "pcrl": "PCRL",
        "random": "RandomWords",
        "selective-context": "SelectiveContext",
        "token-classifier": "TokenClassifier",
        "truncate": "Truncate",
    },
    homes={"PCRL": "reinforced", "RandomWords": "baselines", "Truncate": "baselines"},
)

names, get = _REGISTRY.names, _REGISTRY.get
