"""New instructions from models: Self-Instruct, TeGit, instruction induction, APE and OPRO.

    pool = SelfInstruct(lm).generate(seeds, n=1000)      # new tasks from a few of people's
    pool = TeGit(lm).generate(documents)                 # tasks whose answers stand in documents
    found = induce(examples, lm)                         # an instruction that explains examples
    found = optimize(examples, lm)                       # a better one, step by step
    pool = FewShot(lm, target=solved).generate(questions)    # answers after solved examples

What comes out is a pool: `tamis.load`, `tamis.run` and every selector take it as it is.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tamis.errors import SettingError, did_you_mean

if TYPE_CHECKING:
    from tamis.prompting.generation.base import Generator
    from tamis.prompting.generation.few_shot import FewShot as FewShot
    from tamis.prompting.generation.induction import Induce as Induce
    from tamis.prompting.generation.induction import induce as induce
    from tamis.prompting.generation.journal import account_of as account_of
    from tamis.prompting.generation.opro import optimize as optimize
    from tamis.prompting.generation.self_instruct import SelfInstruct as SelfInstruct
    from tamis.prompting.generation.tegit import TeGit as TeGit

REGISTRY = {
    "few-shot": "FewShot",
    "induce": "Induce",
    "self-instruct": "SelfInstruct",
    "tegit": "TeGit",
}
_HOMES = {
    "FewShot": "few_shot",
    "Induce": "induction",
    "SelfInstruct": "self_instruct",
    "TeGit": "tegit",
    "account_of": "journal",
    "induce": "induction",
    "optimize": "opro",
}

__all__ = ["get", "names", *_HOMES]


def names() -> list[str]:
    """Return the names of all generators, sorted."""
    return sorted(REGISTRY)


def get(name: str) -> "type[Generator[Any]]":
    """Return the class of the generator called `name`.

    Raises
    ------
    SettingError
        If there is none; the nearest right name is said.
    """
    if name not in REGISTRY:
        raise SettingError(f"no generator '{name}'; {did_you_mean(name, REGISTRY)}")
    return __getattr__(REGISTRY[name])  # type: ignore[return-value]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
