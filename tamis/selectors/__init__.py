"""Selection methods, one a file, found by name or imported by class.

>>> import tamis
>>> tamis.selectors.get("random")
<class 'tamis.selectors.random.Random'>
"""

from typing import TYPE_CHECKING

from tamis.registry import Registry

if TYPE_CHECKING:
    from tamis.selectors.base import Selector

_REGISTRY: "Registry[Selector]" = Registry(
    __name__,
    "method",
    {
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
        "facility-location": "FacilityLocation",
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
    },
    homes={"Chain": "chained", "chain": "chained"},
)

names, get, __getattr__ = _REGISTRY.names, _REGISTRY.get, _REGISTRY.attribute

__all__ = ["get", "names", *_REGISTRY.exports]
