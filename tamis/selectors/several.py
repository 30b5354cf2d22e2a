"""What methods that ask several others share: building them, and their picks side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from tamis.data.load import Source
from tamis.errors import SettingError
from tamis.models.base import Embedder, LanguageModel
from tamis.selectors.base import Selector
from tamis.selectors.configure import configured

__all__ = ["Several"]

Method = str | Selector | Mapping[str, Any]


@dataclass(kw_only=True, repr=False)
class Several(Selector):
    """A method that asks several others; abstract.

    Parameters
    ----------
    methods : sequence of methods
        Selectors; or names, or `{name: {setting: value}}`, as in a recipe.
    target, seed, lm, embedder, judge : optional
        For methods given by name that have such a setting.
    """

    methods: Sequence[Method]
    target: Source | None = None
    seed: int = 0
    lm: LanguageModel | str | None = None
    embedder: Embedder | str | None = None
    judge: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.methods, str) or len(self.methods) < 2:
            raise SettingError(f"{type(self).__name__}: methods={self.methods!r}; give two or more")
        self.asked()

    def asked(self) -> list[Selector]:
        """Return the methods as selectors."""
        lent = {name: getattr(self, name) for name in _LENT}
        return [self._selector(method, lent) for method in self.methods]

    def _selector(self, method: Method, lent: Mapping[str, object]) -> Selector:
        if isinstance(method, Selector):
            return method
        named = {method: {}} if isinstance(method, str) else method
        if not isinstance(named, Mapping) or len(named) != 1:
            raise SettingError(
                f"{type(self).__name__}: {method!r} is no method; give a name, or "
                "{name: {setting: value}}"
            )
        ((name, settings),) = named.items()
        return configured(name, settings or {}, lent)

    def _ranks(self, pool: Dataset, k: int) -> dict[str, npt.NDArray[np.int64]]:
        """Return each method's ranks of its `k` picks, 0 for rows that it did not pick."""
        ranks: dict[str, npt.NDArray[np.int64]] = {}
        for selector in self.asked():
            same = sum(name.split("#")[0] == selector.name for name in ranks)
            name = f"{selector.name}#{same + 1}" if same else selector.name
            ranks[name] = selector.choose(pool, k).ranks
        return ranks


_LENT = ("target", "seed", "lm", "embedder", "judge")
