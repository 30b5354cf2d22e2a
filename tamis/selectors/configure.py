"""From names and values, as people write them, to a selector; mistakes are named."""

from collections.abc import Mapping
from typing import Any

from tamis.data.settings import check_needed, check_value, kinds_of
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
    check_needed(kind, method, given)
    return kind(**given)


def check_setting(method: str, name: str, value: object) -> None:
    """Refuse a setting that the method does not have, or a value of the wrong kind."""
    check_value(get(method), method, name, value)


def setting_names(method: str) -> list[str]:
    """Return the names of the method's settings, in the order of its class."""
    return list(kinds_of(get(method)))
