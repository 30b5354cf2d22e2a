"""From names and values, as people write them, to a selector; mistakes are named."""

import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tamis.errors import SettingError, did_you_mean
from tamis.selectors import get
from tamis.selectors.base import Selector

__all__ = ["check_setting", "configured", "setting_names"]


def configured(
    method: str, settings: Mapping[str, Any], lent: Mapping[str, object] | None = None
) -> Selector:
    """Return the selector called `method`, with these settings.

    Parameters
    ----------
    method : str
    settings : mapping
        The method's own.
    lent : mapping, optional
        Used where the method has a setting of that name and `settings` gives none: a
        target, a seed, models. A None is not lent.

    Raises
    ------
    SettingError
        For an unknown method or setting, a value of the wrong kind, or one that is missing.
    """
    kind = get(method)
    for name, value in settings.items():
        check_setting(method, name, value)
    own = {
        name: value
        for name, value in (lent or {}).items()
        if name in setting_names(method) and value is not None
    }
    given = {**own, **settings}
    for setting in fields(kind):
        needed = setting.init and setting.default is MISSING and setting.default_factory is MISSING
        if needed and setting.name not in given:
            raise SettingError(f"{method} needs a {setting.name}; give one")
    return kind(**given)


def check_setting(method: str, name: str, value: object) -> None:
    """Refuse a setting that the method does not have, or a value of the wrong kind."""
    hints = _hints(method)
    if name not in hints:
        raise SettingError(f"{method} has no setting '{name}'; {did_you_mean(str(name), hints)}")
    kind = TypeAdapter(hints[name], config=ConfigDict(arbitrary_types_allowed=True))
    try:
        kind.validate_python(value)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise SettingError(
            f"{method}: {name} is {value!r}; {message[:1].lower()}{message[1:]}"
        ) from None


def setting_names(method: str) -> list[str]:
    """Return the names of the method's settings, in the order of its class."""
    return list(_hints(method))


@cache
def _hints(method: str) -> dict[str, Any]:
    kind = get(method)
    hints = typing.get_type_hints(kind)
    return {setting.name: hints[setting.name] for setting in fields(kind) if setting.init}
