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

from typing import TYPE_CHECKING

from tamis.registry import Registry

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

_REGISTRY: "Registry[Retriever]" = Registry(
    __name__,
    "retriever",
    {
        "bm25": "BM25",
        "epr": "EPR",
        "knn": "KNN",
        "latent-concept": "LatentConcept",
        "mdl": "MDL",
        "random": "Random",
        "udr": "UDR",
        "vote-k": "VoteK",
    },
    homes={
        "EPR": "udr",
        "Example": "shots",
        "Ordering": "ordering",
        "Random": "base",
        "Retriever": "base",
        "Shots": "shots",
        "Template": "shots",
        "VoteK": "votek",
        "order": "ordering",
        "render": "shots",
    },
)

names, get, __getattr__ = _REGISTRY.names, _REGISTRY.get, _REGISTRY.attribute

__all__ = ["get", "names", *_REGISTRY.exports]
