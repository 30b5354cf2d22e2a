"""Models by name: one string says which backend, which model, and with which options.

    backend:model?option=value&option=value

>>> name = ModelName.parse("vllm:Qwen/Qwen2.5-7B?tensor_parallel_size=2&quantization=awq")
>>> name.backend, name.model, name.options
('vllm', 'Qwen/Qwen2.5-7B', {'tensor_parallel_size': 2, 'quantization': 'awq'})
"""

import json
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl

from tamis.errors import SettingError, did_you_mean

__all__ = ["ModelName", "one_of"]

_SECRETS = {"api_key", "token", "hf_token"}


@dataclass(frozen=True)
class ModelName:
    """A model string, taken apart.

    Attributes
    ----------
    backend : str
    model : str
        A hub id, a folder, or a server's name for it; empty for 'bundled'.
    options : dict
        Values as JSON where they are JSON (numbers, true, objects), else as text.
    """

    backend: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take `text` apart.

        Raises
        ------
        SettingError
            If an option has no value, is given twice, or is a secret: names are recorded.
        """
        path, _, query = text.partition("?")
        backend, _, model = path.partition(":")
        pairs = parse_qsl(query, keep_blank_values=True)
        options = {key: _value(value) for key, value in pairs}
        for key, value in pairs:
            if key in _SECRETS:
                raise SettingError(
                    f"{path}: {key} does not belong in a name, which is recorded; "
                    f"pass {key}= as a keyword, or set it in the environment"
                )
            if not value:
                raise SettingError(f"{text}: option '{key}' has no value; write {key}=…")
        if len(options) < len(pairs):
            raise SettingError(f"{text}: an option is given twice; give it once")
        return cls(backend, model, options)

    def __str__(self) -> str:
        return f"{self.backend}:{self.model}" if self.model else self.backend


def one_of(text: str, backends: dict[str, str]) -> ModelName:
    """Return the parsed name, if its backend is one of `backends` and it names a model.

    Raises
    ------
    SettingError
        If not; the nearest right name is said.
    """
    name = ModelName.parse(text)
    if name.backend not in backends:
        if ":" not in text.partition("?")[0] and ("/" in text or "." in text):
            raise SettingError(f"{text}: no backend; write transformers:{text}")
        raise SettingError(f"no backend '{name.backend}'; {did_you_mean(name.backend, backends)}")
    if not name.model and name.backend != "bundled":
        raise SettingError(f"{text}: no model; write {name.backend}:MODEL")
    return name


def _value(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
