"""Demonstrations, generation, reasoning and prompt compression: methods over language models."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tamis.prompting.compression import advise as advise
    from tamis.prompting.compression import compress as compress
    from tamis.prompting.compression import compress_messages as compress_messages
    from tamis.prompting.compression import evaluate_compression as evaluate_compression
    from tamis.prompting.soft import SummaryVectors as SummaryVectors

_HOMES = {
    "advise": "tamis.prompting.compression",
    "compress": "tamis.prompting.compression",
    "compress_messages": "tamis.prompting.compression",
    "evaluate_compression": "tamis.prompting.compression",
    "SummaryVectors": "tamis.prompting.soft",
}
_ROOMS = {"compression", "demonstrations", "generation", "reasoning", "soft"}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute can be anything
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return import_module(f"tamis.prompting.{name}")
    raise AttributeError(f"module 'tamis.prompting' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS})
