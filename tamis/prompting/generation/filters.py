"""Why a generated task is refused: Self-Instruct's published filters, and our own, by name."""

import re
import string

__all__ = ["conflict", "damage", "instance_fault", "instruction_fault"]

_UNSUITABLE = re.compile(
    r"\b(image|images|graph|graphs|picture|pictures|file|files|map|maps|draw|plot|go to)\b", re.I
)
_CONTROL = re.compile(r"<\|[^|<>]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>")
_FEWEST_WORDS, _MOST_WORDS = 4, 150
_MOST_CHARACTERS = 8_000
_GRAM = 3
_WORDS_TO_REPEAT = 24
_DIFFERENT = 0.3


def instruction_fault(text: str) -> str | None:
    """Return which published filter refuses an instruction, or None.

    >>> instruction_fault("Draw a map of the town you live in.")
    'asks for more than text'
    """
    words = len(text.split())
    if words < _FEWEST_WORDS:
        return "too few words"
    if words > _MOST_WORDS:
        return "too many words"
    if _UNSUITABLE.search(text):
        return "asks for more than text"
    if text[:15].casefold() == "write a program":
        return "asks for a program"
    if text[0] in string.punctuation:
        return "starts with a sign"
    return None if text[0].isascii() else "starts beyond ASCII"


def instance_fault(given: str, output: str) -> str | None:
    """Return which published filter refuses an instance, or None.

    >>> instance_fault("2 + 2", "2 + 2")
    'the output is the input'
    """
    if given == output:
        return "the output is the input"
    if not output:
        return "no output"
    if given.endswith(":") or output.endswith(":"):
        return "ends with a colon"
    return None


def conflict(instances: list[tuple[str, str]]) -> str | None:
    """Return why none of a task's instances is kept: one input has two different outputs.

    >>> conflict([("dog", "chien"), ("dog", "hound")])
    'an input has two outputs'
    """
    outputs: dict[str, str] = {}
    for given, output in instances:
        if given and outputs.setdefault(given, output) != output:
            return "an input has two outputs"
    return None


def damage(text: str) -> str | None:
    """Return why no text is fit to be trained on: what a model writes when it runs wild.

    Our own, beside the published ones: too long, marks of a chat template (which a tokenizer
    would take for its own), or the same few words again and again.

    >>> damage("so it is " * 20)
    'repeats itself'
    """
    if len(text) > _MOST_CHARACTERS:
        return "too long"
    if _CONTROL.search(text):
        return "holds a template's marks"
    words = text.split()
    grams = {tuple(words[i : i + _GRAM]) for i in range(len(words) - _GRAM + 1)}
    if len(words) >= _WORDS_TO_REPEAT and len(grams) < _DIFFERENT * (len(words) - _GRAM + 1):
        return "repeats itself"
    return None
