"""Reasoning: small programs of prompts over any language model, all questions in lock-step.

A program is a generator: it asks, waits for the answers, and asks again. Every round the asks
of all questions go to the model in one call.

>>> from tamis.prompting import reasoning
>>> reasoning.extract("So 3 + 4 = 7. The answer is $7.00.")
'7'
"""

from typing import TYPE_CHECKING

from tamis.registry import Registry

if TYPE_CHECKING:
    from tamis.prompting.reasoning.answers import extract as extract
    from tamis.prompting.reasoning.answers import same as same
    from tamis.prompting.reasoning.auto_cot import AutoCoT as AutoCoT
    from tamis.prompting.reasoning.base import Program as Program
    from tamis.prompting.reasoning.contrastive_cot import ContrastiveCoT as ContrastiveCoT
    from tamis.prompting.reasoning.cot import ChainOfThought as ChainOfThought
    from tamis.prompting.reasoning.cot import Exemplar as Exemplar
    from tamis.prompting.reasoning.graph_of_thoughts import GraphOfThoughts as GraphOfThoughts
    from tamis.prompting.reasoning.least_to_most import LeastToMost as LeastToMost
    from tamis.prompting.reasoning.react import ReAct as ReAct
    from tamis.prompting.reasoning.self_ask import SelfAsk as SelfAsk
    from tamis.prompting.reasoning.self_consistency import SelfConsistency as SelfConsistency
    from tamis.prompting.reasoning.skeleton_of_thought import (
        SkeletonOfThought as SkeletonOfThought,
    )
    from tamis.prompting.reasoning.trace import Solution as Solution
    from tamis.prompting.reasoning.trace import rows as rows
    from tamis.prompting.reasoning.tree_of_thoughts import TreeOfThoughts as TreeOfThoughts

_REGISTRY: "Registry[Program]" = Registry(
    __name__,
    "reasoning",
    {
        "auto-cot": "AutoCoT",
        "contrastive-cot": "ContrastiveCoT",
        "cot": "ChainOfThought",
        "graph-of-thoughts": "GraphOfThoughts",
        "least-to-most": "LeastToMost",
        "react": "ReAct",
        "self-ask": "SelfAsk",
        "self-consistency": "SelfConsistency",
        "skeleton-of-thought": "SkeletonOfThought",
        "tree-of-thoughts": "TreeOfThoughts",
    },
    homes={
        "Exemplar": "cot",
        "Program": "base",
        "Solution": "trace",
        "compositionality_gap": "self_ask",
        "extract": "answers",
        "rows": "trace",
        "same": "answers",
    },
)

names, get, __getattr__ = _REGISTRY.names, _REGISTRY.get, _REGISTRY.attribute

__all__ = ["get", "names", *_REGISTRY.exports]
