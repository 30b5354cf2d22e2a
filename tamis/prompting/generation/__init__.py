"""New instructions from models: Self-Instruct, TeGit, instruction induction, APE and OPRO.

    pool = SelfInstruct(lm).generate(seeds, n=1000)      # new tasks from a few of people's
    pool = TeGit(lm).generate(documents)                 # tasks whose answers stand in documents
    found = induce(examples, lm)                         # an instruction that explains examples
    found = optimize(examples, lm)                       # a better one, step by step
    pool = FewShot(lm, target=solved).generate(questions)    # answers after solved examples

What comes out is a pool: `tamis.load`, `tamis.run` and every selector take it as it is.
"""

from typing import TYPE_CHECKING, Any

from tamis.registry import Registry

if TYPE_CHECKING:
    from tamis.prompting.generation.base import Generator
    from tamis.prompting.generation.few_shot import FewShot as FewShot
    from tamis.prompting.generation.induction import Induce as Induce
    from tamis.prompting.generation.induction import induce as induce
    from tamis.prompting.generation.journal import account_of as account_of
    from tamis.prompting.generation.opro import optimize as optimize
    from tamis.prompting.generation.self_instruct import SelfInstruct as SelfInstruct
    from tamis.prompting.generation.tegit import TeGit as TeGit

_REGISTRY: "Registry[Generator[Any]]" = Registry(
    __name__,
    "generator",
    {
        "few-shot": "FewShot",
        "induce": "Induce",
        "self-instruct": "SelfInstruct",
        "tegit": "TeGit",
    },
    homes={
        "Induce": "induction",
        "account_of": "journal",
        "induce": "induction",
        "optimize": "opro",
    },
)

names, get, __getattr__ = _REGISTRY.names, _REGISTRY.get, _REGISTRY.attribute

__all__ = ["get", "names", *_REGISTRY.exports]
