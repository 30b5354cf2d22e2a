"""Demonstrations: which solved examples to show a model before the question, and in what order.

>>> from tamis.prompting import demonstrations
>>> pool = [{"prompt": "2 + 2", "response": "4"}, {"prompt": "big cat", "response": "lion"}]
>>> found = demonstrations.BM25().fit(pool).retrieve(["3 + 2"], k=1)
>>> print(found[0].prompt("3 + 2"))
Input: 2 + 2
Output: 4
<BLANKLINE>
Input: 3 + 2
Output:
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tamis.errors import SettingError, did_you_mean

if TYPE_CHECKING:
    from tamis.prompting.demonstrations.base import Random as Random
    from tamis.prompting.demonstrations.base import Retriever as Retriever
    from tamis.prompting.demonstrations.bm25 import BM25 as BM25
    from tamis.prompting.demonstrations.knn import KNN as KNN
    from tamis.prompting.demonstrations.latent_concept import LatentConcept as LatentConcept
    from tamis.prompting.demonstrations.mdl import MDL as MDL
    from tamis.prompting.demonstrations.ordering import Ordering as Ordering
    from tamis.prompting.demonstrations.ordering import order as order
    from tamis.prompting.demonstrations.shots import Example as Example
    from tamis.prompting.demonstrations.shots import Shots as Shots
    from tamis.prompting.demonstrations.shots import Template as Template
    from tamis.prompting.demonstrations.shots import render as render
    from tamis.prompting.demonstrations.udr import EPR as EPR
    from tamis.prompting.demonstrations.udr import UDR as UDR
    from tamis.prompting.demonstrations.votek import VoteK as VoteK

REGISTRY = {
    "bm25": "BM25",
    "epr": "EPR",
    "knn": "KNN",
    "latent-concept": "LatentConcept",
    "mdl": "MDL",
    "random": "Random",
    "udr": "UDR",
    "vote-k": "VoteK",
}

_MODULES = {
    "BM25": "bm25", "EPR": "udr", "KNN": "knn", "LatentConcept": "latent_concept", "MDL": "mdl",
    "Random": "base", "UDR": "udr", "VoteK": "votek",
    "Example": "shots", "Ordering": "ordering", "Retriever": "base", "Shots": "shots",
    "Template": "shots", "order": "ordering", "render": "shots",
}  # fmt: skip

__all__ = ["get", "names", *_MODULES]


def names() -> list[str]:
    """Return the names of all retrievers, sorted."""
    return sorted(REGISTRY)


def get(name: str) -> "type[Retriever]":
    """Return the class of the retriever called `name`.

    Raises
    ------
    SettingError
        If there is none; the nearest right name is said.
    """
    if name not in REGISTRY:
        raise SettingError(f"no retriever '{name}'; {did_you_mean(name, REGISTRY)}")
    return __getattr__(REGISTRY[name])  # type: ignore[return-value]


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
