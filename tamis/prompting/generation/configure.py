"""From names and values, as people write them, to a generator; mistakes are named."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tamis.data.settings import check_needed, check_value, kinds_of
from tamis.prompting.generation import get
from tamis.prompting.generation.base import Generator

__all__ = ["CALL", "FOR_THE_BUNDLED", "check_setting", "generator"]

FOR_THE_BUNDLED: Mapping[str, Mapping[str, Any]] = {
    "self-instruct": {"answers": "direct", "temperature": 1.0, "top_p": 0.9, "max_tokens": 256},
    "tegit": {"domain": "plain", "chat": True, "passage_words": 120, "max_tokens": 200},
}
"""Settings that suit the bundled model, by method: it answers questions, but cannot go on with
worked examples; and the paper's temperature of 0.7 came with a presence penalty, without which it
repeats itself."""


@dataclass
class _Call:
    """What is said to `generate` rather than to the method."""

    n: int | None = None
    tokens: int | None = None
    money: float | None = None


CALL = frozenset(kinds_of(_Call))
"""Names of what is said to `generate` rather than to the method."""


def generator(
    method: str, settings: Mapping[str, Any], lent: Mapping[str, object] | None = None
) -> Generator[Any]:
    """Return the generator called `method`, with these settings.

    Parameters
    ----------
    method : str
    settings : mapping
        The method's own.
    lent : mapping, optional
        Used where the method has a setting of that name and `settings` gives none. A None is
        not lent.

    Raises
    ------
    SettingError
        For an unknown method or setting, a value of the wrong kind, or one that is missing.
    """
    made = get(method)
    for name, value in settings.items():
        check_value(made, method, name, value)
    own = {
        name: value
        for name, value in (lent or {}).items()
        if name in kinds_of(made) and value is not None
    }
    given = {**own, **settings}
    check_needed(made, method, given)
    return made(**given)


def check_setting(method: str, name: str, value: object) -> None:
    """Refuse a setting that neither the method nor a call of it has, or of the wrong kind."""
    check_value(_Call if name in CALL else get(method), method, name, value)
