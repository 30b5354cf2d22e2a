"""Settings by name: which ones a dataclass takes, and whether a value is of their kind."""

import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tamis.errors import SettingError, did_you_mean

__all__ = ["check_needed", "check_value", "kinds_of"]


@cache
def kinds_of(made: type) -> dict[str, Any]:
    """Return the settings of a dataclass and their types, in order."""
    hints = typing.get_type_hints(made)
    return {setting.name: hints[setting.name] for setting in fields(made) if setting.init}


def check_value(made: type, called: str, name: str, value: object) -> None:
    """Refuse a setting that the dataclass does not have, or a value of the wrong kind.

    Parameters
    ----------
    made : type
    called : str
        What errors call it.
    name, value
        The setting.

    Raises
    ------
    SettingError
    """
    kinds = kinds_of(made)
    if name not in kinds:
        raise SettingError(f"{called} has no setting '{name}'; {did_you_mean(str(name), kinds)}")
    kind = TypeAdapter(kinds[name], config=ConfigDict(arbitrary_types_allowed=True))
    try:
        kind.validate_python(value)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise SettingError(
            f"{called}: {name} is {value!r}; {message[:1].lower()}{message[1:]}"
        ) from None


def check_needed(made: type, called: str, given: Mapping[str, object]) -> None:
    """Refuse settings that lack one without a default."""
    for setting in fields(made):
        needed = setting.init and setting.default is MISSING and setting.default_factory is MISSING
        if needed and setting.name not in given:
            raise SettingError(f"{called} needs a {setting.name}; give one")
