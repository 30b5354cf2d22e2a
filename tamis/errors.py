"""The errors tamis raises, each one line: who, what was given, where, and the mend.

TamisError
├── DataError (ValueError)        a file, row or column that cannot be used
│   └── NoSuchFileError (FileNotFoundError)  a file or folder that is not there
├── BudgetError (ValueError)      a `k` that the pool or the method cannot meet
├── SettingError (ValueError)     a setting out of range, or a name that does not exist
├── RecipeError (ValueError)      a recipe that cannot be run, with its line
├── CatalogError (RuntimeError)   the catalogue or the feature store cannot be read or written
├── HubError (RuntimeError)       the hub of data sets refused, or did not answer
├── RunError (RuntimeError)       a run that failed or does not exist
├── ModelError (RuntimeError)     a model that cannot be loaded or did not answer
└── MissingExtraError (ImportError)  an optional package that is not installed
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

__all__ = [
    "BudgetError",
    "CatalogError",
    "DataError",
    "HubError",
    "MissingExtraError",
    "ModelError",
    "NoSuchFileError",
    "RecipeError",
    "RunError",
    "SettingError",
    "TamisError",
    "did_you_mean",
    "one_line",
]

LONGEST_LINE = 1000


class TamisError(Exception):
    """Anything that tamis refuses or cannot do; its text is one line, with the mend.

    Attributes
    ----------
    retryable : bool
        Whether it may pass by itself: a server that is busy does, a wrong recipe never.
    """

    retryable: bool = False

    def __str__(self) -> str:
        """Return the text as one line of a screen, whatever it quotes."""
        return one_line(super().__str__())

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes whatever `__init__` takes."""
        return _as_raised, (type(self), self.args, vars(self))


def _as_raised(kind: type[TamisError], args: tuple[Any, ...], facts: dict[str, Any]) -> TamisError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(facts)
    return error


class DataError(TamisError, ValueError):
    """A file, row or column that cannot be used."""


class NoSuchFileError(DataError, FileNotFoundError):
    """A file or folder that is not there."""


class BudgetError(TamisError, ValueError):
    """A number of examples to keep that the pool or the method cannot meet."""


class SettingError(TamisError, ValueError):
    """A setting out of range, or a name that does not exist."""


class RecipeError(TamisError, ValueError):
    """A recipe that cannot be run."""


class CatalogError(TamisError, RuntimeError):
    """The catalogue or the feature store cannot be read or written."""


class HubError(TamisError, RuntimeError):
    """The hub refused what was asked, or did not answer; the latter may pass."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class RunError(TamisError, RuntimeError):
    """A run that failed, or that does not exist."""


class ModelError(TamisError, RuntimeError):
    """A model that cannot be loaded, or that did not answer."""


class MissingExtraError(TamisError, ImportError):
    """An optional package that is not installed; the text names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f'{package} is not installed: pip install "tamis[{extra}]"')


def one_line(text: str) -> str:
    r"""Return text as one line of a screen: bounded, without what cannot be seen.

    >>> one_line("no method 'cle\nan\x1b[31m'")
    "no method 'cle an [31m'"
    """
    line = "".join(char if char.isprintable() else " " for char in text[: LONGEST_LINE + 1])
    return line if len(text) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return what to say after a wrong name: the nearest right one, or the list of them.

    >>> did_you_mean("dsri", ["dsir", "lima"])
    "did you mean 'dsir'?"
    >>> did_you_mean("x", ["dsir", "lima"])
    'give one of: dsir, lima'
    """
    names = sorted(known)
    near = get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"give one of: {', '.join(names)}"
