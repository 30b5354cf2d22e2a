"""What a request asks of the compressor: by headers, by a field of its body, or nothing."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tamis.errors import DataError, SettingError, did_you_mean
from tamis.prompting.compression.methods import get
from tamis.prompting.compression.result import Compressed, CompressedMessages

__all__ = ["HEADERS", "HOLDERS", "How", "Wish", "settings_of", "wish_of"]

HEADERS = "x-tamis-"
FIELD = "tamis"
HOLDERS = {"chat/completions": "messages", "completions": "prompt", "responses": "input"}
"""Paths whose requests hold a prompt, and the field that holds it."""


@dataclass(frozen=True)
class How:
    """How to compress; each is also a header: `keep_last` is `X-Tamis-Keep-Last`.

    What only the operator may say is missing: which models and tokenizers are loaded.

    Attributes
    ----------
    rate, target_tokens, method, structure, seed
        As for `compress`; without a method, the proxy's own.
    keep : tuple of str
        Phrases that survive. Not regular expressions: a stranger's could run for ever.
    keep_last, roles
        As for `compress_messages`.
    """

    rate: float | None = None
    target_tokens: int | None = None
    method: str | None = None
    structure: bool = False
    seed: int = 0
    keep: tuple[str, ...] = ()
    keep_last: int = 1
    roles: tuple[str, ...] = ("user", "assistant")

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "How":
        """Read settings; values may be text, as headers are.

        Raises
        ------
        SettingError
            For a name or a value that there is not.

        Examples
        --------
        >>> How.of({"rate": "0.25", "keep": "Ada, Bob"}).keep
        ('Ada', 'Bob')
        """
        known = {}
        for name, value in said.items():
            if name not in _READERS:
                raise SettingError(f"tamis has no '{name}'; {did_you_mean(name, _READERS)}")
            try:
                known[name] = _READERS[name](value)
            except SettingError:
                raise
            except (TypeError, ValueError, OverflowError):
                raise SettingError(f"tamis: {name} is {_shown(value)}; {_WANTED[name]}") from None
        return cls(**known)


@dataclass(frozen=True)
class Wish:
    """A prompt that is to be compressed, and the request that holds it.

    Attributes
    ----------
    how : How
    body : dict
        The request, without what was for the compressor.
    field : str
        Which field of it holds the prompt.
    """

    how: How
    body: dict[str, Any]
    field: str

    @property
    def chat(self) -> list[dict[str, Any]] | None:
        """The messages, or None where the prompt is text."""
        held = self.body[self.field]
        return [held[i] for i in _messages(held)] if _is_chat(held) else None

    @property
    def texts(self) -> list[str]:
        """The texts, where the prompt is no chat."""
        held = self.body[self.field]
        return [held] if isinstance(held, str) else held

    def granted(self, done: CompressedMessages | list[Compressed]) -> bytes:
        """Return the request with the compressed prompt in it."""
        held = self.body[self.field]
        new: Any
        if isinstance(done, CompressedMessages):
            new = list(held)
            for place, message in zip(_messages(held), done, strict=True):
                new[place] = message
        else:
            new = done[0].text if isinstance(held, str) else [one.text for one in done]
        return json.dumps(self.body | {self.field: new}).encode()


def wish_of(path: str, headers: Iterable[tuple[str, str]], body: bytes) -> Wish | None:
    """Return what a request asks for; None where it asks for nothing.

    Parameters
    ----------
    path : str
        Below `/v1/`.
    headers : iterable of (str, str)
        Names in lower case. The field in the body wins over them.
    body : bytes

    Raises
    ------
    SettingError
        For a setting that there is not.
    DataError
        If something is asked for, and the body holds no text to compress.
    """
    if path not in HOLDERS:
        return None
    said = {
        name.removeprefix(HEADERS).replace("-", "_"): value
        for name, value in headers
        if name.startswith(HEADERS) and name != f"{HEADERS}token"
    }
    if not said and f'"{FIELD}"'.encode() not in body:
        return None
    request = _parsed(body)
    if not said and FIELD not in request:
        return None
    settings = request.pop(FIELD, {})
    if not isinstance(settings, dict):
        raise SettingError(f'the field tamis is {_shown(settings)}; write {{"rate": 0.5}}')
    if settings.keys() & _BUDGETS:
        said = {name: value for name, value in said.items() if name not in _BUDGETS}
    _check(request.get(HOLDERS[path]), HOLDERS[path])
    return Wish(How.of(said | settings), request, HOLDERS[path])


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise DataError("the body is not JSON; send an object") from None
    if not isinstance(request, dict):
        raise DataError("the body is no JSON object; send one")
    return request


def _check(held: object, field: str) -> None:
    texts = isinstance(held, list) and all(isinstance(one, str) for one in held)
    objects = isinstance(held, list) and all(isinstance(one, dict) for one in held)
    fits = objects if field == "messages" else texts or isinstance(held, str)
    if not fits and not (objects and field == "input"):
        raise DataError(f"{field} holds no text (token ids cannot be compressed); send text")


def _is_chat(held: object) -> bool:
    return isinstance(held, list) and any(isinstance(one, dict) for one in held)


def _messages(held: list[dict[str, Any]]) -> list[int]:
    """Return which items of a chat are messages: /responses has calls and files among them."""
    return [i for i, item in enumerate(held) if item.get("type", "message") == "message"]


def _count(value: Any) -> int:  # noqa: ANN401
    if isinstance(value, bool | float) or int(value) < 0:
        raise ValueError
    return int(value)


def _share(value: Any) -> float:  # noqa: ANN401
    if isinstance(value, bool) or not 0 <= float(value) <= 1:
        raise ValueError
    return float(value)


def _switch(value: Any) -> bool:  # noqa: ANN401
    said = str(value).lower()
    if said not in {"true", "1", "false", "0"}:
        raise ValueError
    return said in {"true", "1"}


def _phrases(value: Any) -> tuple[str, ...]:  # noqa: ANN401
    listed = value.split(",") if isinstance(value, str) else value
    phrases = tuple(phrase.strip() for phrase in listed)
    if not all(phrases) or len(phrases) > _MOST_PHRASES:
        raise ValueError
    return phrases


def _method(value: Any) -> str:  # noqa: ANN401
    return get(str(value)).name


_BUDGETS = {"rate", "target_tokens"}  # of which one is given
_MOST_PHRASES = 100
_READERS: dict[str, Callable[[Any], Any]] = {
    "rate": _share,
    "target_tokens": _count,
    "method": _method,
    "structure": _switch,
    "seed": _count,
    "keep": _phrases,
    "keep_last": _count,
    "roles": _phrases,
}
_WANTED = {
    "rate": "give a number from 0 to 1",
    "structure": "give true or false",
    "keep": f"give at most {_MOST_PHRASES} phrases",
    "roles": "give roles, such as user",
    **dict.fromkeys(("target_tokens", "seed", "keep_last"), "give a whole number, 0 or more"),
}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def settings_of(how: How) -> dict[str, Any]:
    """Return the settings by name; those that were not said are left out.

    >>> settings_of(How(rate=0.5))["rate"], "method" in settings_of(How())
    (0.5, False)
    """
    return {name: value for name, value in asdict(how).items() if value is not None}
