"""Methods by name, one a file: what a package of methods shares with the others.

A package says which methods it has, and takes its `names`, `get` and `__getattr__` from here.
A file is imported when its class is first asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Generic, TypeVar

from tamis.errors import SettingError, did_you_mean

__all__ = ["Registry"]

M = TypeVar("M")


@dataclass(frozen=True)
class Registry(Generic[M]):
    """The methods of a package.

    Parameters
    ----------
    package : str
    kind : str
        What an error calls one of them: 'generator'.
    classes : mapping of str to str
        The name of each method's class. It lives in the module of the method's name, unless
        `homes` says otherwise.
    homes : mapping of str to str
        The module of other classes and functions that the package offers.

    Examples
    --------
    >>> registry = Registry("tamis.selectors", "method", {"kcenter": "KCenter"})
    >>> registry.names(), registry.get("kcenter")
    (['kcenter'], <class 'tamis.selectors.kcenter.KCenter'>)
    """

    package: str
    kind: str
    classes: Mapping[str, str]
    homes: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return the names of all methods, sorted."""
        return sorted(self.classes)

    def get(self, name: str) -> type[M]:
        """Return the class of the method called `name`.

        Raises
        ------
        SettingError
            If there is none; the nearest right name is said.
        """
        if name not in self.classes:
            raise SettingError(f"no {self.kind} '{name}'; {did_you_mean(name, self.classes)}")
        return self.attribute(self.classes[name])  # type: ignore[return-value]

    def attribute(self, name: str) -> object:
        """Return what the package offers by this name: its `__getattr__`."""
        if (module := self._modules.get(name)) is None:
            raise AttributeError(f"module '{self.package}' has no attribute '{name}'")
        return getattr(import_module(f"{self.package}.{module}"), name)

    @property
    def exports(self) -> list[str]:
        """Names of all that `attribute` gives."""
        return sorted(self._modules)

    @property
    def _modules(self) -> dict[str, str]:
        own = {kind: method.replace("-", "_") for method, kind in self.classes.items()}
        return own | dict(self.homes)
