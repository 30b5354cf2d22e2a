"""Selection methods, one a file, found by name or imported by class.

>>> import tamis
>>> tamis.selectors.get("random")
<class 'tamis.selectors.random.Random'>
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tamis.errors import SettingError, did_you_mean

if TYPE_CHECKING:
    from tamis.selectors.base import Selector

REGISTRY = {
    "alpagasus": "AlpaGasus",
    "clean": "Clean",
    "coreset": "Coreset",
    "cross-task-knn": "CrossTaskKNN",
    "data-shapley": "DataShapley",
    "decontaminate": "Decontaminate",
    "deduplicate": "Deduplicate",
    "deita": "DEITA",
    "doremi": "DoReMi",
    "dsir": "DSIR",
    "ifd": "IFD",
    "instruct-mining": "InstructMining",
    "kcenter": "KCenter",
    "knn-shapley": "KNNShapley",
    "less": "LESS",
    "lima": "LIMA",
    "mods": "MoDS",
    "perplexity": "Perplexity",
    "privacy": "Privacy",
    "quota": "Quota",
    "random": "Random",
    "ts-dshapley": "TransferredShapley",
    "vote": "Vote",
}

_CLASSES = {class_name: method for method, class_name in REGISTRY.items()}

__all__ = ["chain", "get", "names", *_CLASSES]


def names() -> list[str]:
    """Return the names of all methods, sorted."""
    return sorted(REGISTRY)


def get(name: str) -> "type[Selector]":
    """Return the class of the method called `name`.

    Raises
    ------
    SettingError
        If there is none; the nearest right name is said.
    """
    if name not in REGISTRY:
        raise SettingError(f"no method '{name}'; {did_you_mean(name, REGISTRY)}")
    module = import_module(f"tamis.selectors.{name.replace('-', '_')}")
    return getattr(module, REGISTRY[name])  # type: ignore[no-any-return]


def __getattr__(name: str) -> object:
    if name in _CLASSES:
        return get(_CLASSES[name])
    if name in {"chain", "Chain"}:
        return getattr(import_module("tamis.selectors.chained"), name)
    raise AttributeError(f"module 'tamis.selectors' has no attribute '{name}'")
