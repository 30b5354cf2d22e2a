"""tamis: keep the examples worth training on, and press prompts.

The names below are the front door. Each is imported when it is first used, so that
`import tamis` stays quick and brings in nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tamis.data.catalog import catalog as catalog
    from tamis.data.load import load as load
    from tamis.data.load import rejected as rejected
    from tamis.data.save import save as save
    from tamis.flows.compare import compare as compare
    from tamis.flows.curate import run as run
    from tamis.pipelines.publish import push_to_hub as push_to_hub

__version__ = "0.1.0"

_HOMES = {
    "catalog": "tamis.data.catalog",
    "compare": "tamis.flows.compare",
    "load": "tamis.data.load",
    "push_to_hub": "tamis.pipelines.publish",
    "rejected": "tamis.data.load",
    "run": "tamis.flows.curate",
    "save": "tamis.data.save",
}
_ROOMS = {"data", "errors", "models", "pipelines", "prompting", "report", "selectors"}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute can be anything
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return import_module(f"tamis.{name}")
    raise AttributeError(f"module 'tamis' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS})
