"""The texts that models are asked with; each lies in `prompts/`, to be read and compared."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from tamis.models.base import Prompt

__all__ = ["as_prompt", "listed", "template"]


@cache
def template(name: str) -> str:
    """Return the text of `prompts/<name>.txt`; what is in braces is to be filled in."""
    path = files("tamis.prompting.generation") / "prompts" / f"{name}.txt"
    return path.read_text(encoding="utf-8").removesuffix("\n")


def as_prompt(text: str, chat: bool) -> Prompt:
    """Return a text to be continued as it stands, or as a user's message."""
    return [{"role": "user", "content": text}] if chat else text


def listed(tasks: Sequence[str]) -> str:
    r"""Return tasks as a numbered list that waits for the next.

    >>> listed(["Name a star:", "Sum\n it up."])
    '1. Name a star\n2. Sum it up.\n3.'
    """
    lines = [
        f"{number}. {' '.join(task.split()).rstrip(':')}\n" for number, task in enumerate(tasks, 1)
    ]
    return "".join(lines) + f"{len(tasks) + 1}."
