r"""What a model's words say the answer is.

The text after the last trigger counts ('The answer is', 'Answer:', '####', '\boxed{'). What is
looked for in it is the question's kind:

    number   the last number; without a trigger, the last of the whole text
    choice   the last letter A to E that stands alone, bare or in brackets
    yes-no   the first yes or no
    text     all up to the end of the sentence
    auto     whichever of the above the text after the trigger is

Text is data: it is searched and bounded, never run.
"""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Literal

__all__ = ["Kind", "agreed", "cleaned", "extract", "one_line", "same"]

Kind = Literal["auto", "number", "choice", "yes-no", "text"]

LONGEST = 20_000  # characters of an answer that are looked at and kept
_LONGEST_ANSWER = 200
_MOST_DIGITS = 40
_TOLERANCE = Decimal("1e-6")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_TRIGGER = re.compile(r"answer is:?|answer\s*:|####|\\boxed\{", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_NUMBER_ALONE = re.compile(r"[^\w.-]*-?[^\w.-]*\d[\d,]*(?:\.\d+)?\s*%?[^\w]*(?=\n|$)")
_CHOICE = re.compile(r"(?<![A-Za-z'])\(?([A-E])\)?(?![A-Za-z'])")
_CHOICE_FIRST = re.compile(r"\s*(?:\(([A-E])\)|([A-E])(?=[).:]|\s*$))")
_YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?](?=\s|$)|\n")


def cleaned(text: str, longest: int = LONGEST) -> str:
    r"""Return a model's words without control characters, cut to `longest` characters.

    New lines and tabs stay; a carriage return is a new line.

    >>> cleaned("a\x1b[31mb\r\nc")
    'a[31mb\nc'
    """
    plain = text[: 4 * longest].replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", plain)[:longest]


def one_line(text: str, longest: int = 200) -> str:
    r"""Return a text on one line, its end cut off where it is long.

    >>> one_line("a\n  b", 20), one_line("abcdef", 4)
    ('a b', 'abc…')
    """
    line = " ".join(cleaned(text, 4 * longest).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def extract(text: str, kind: Kind = "auto") -> str | None:
    r"""Return the answer that a text gives, in one spelling; None where it gives none.

    Parameters
    ----------
    text : str
    kind : {'auto', 'number', 'choice', 'yes-no', 'text'}

    Examples
    --------
    >>> extract("It costs 3 + 1,230. The answer is $1,234.50.", "number")
    '1234.5'
    >>> extract("(A) is wrong, so the answer is (B).")
    'B'
    >>> extract("I cannot say.") is None
    True
    """
    plain = cleaned(text)
    said = _after_trigger(plain)
    if kind == "number":
        return _number(plain if said is None else said)
    if said is None:
        return None
    if kind == "choice":
        return _last(_CHOICE, said)
    if kind == "yes-no":
        return _first_yes_no(said)
    if kind == "text":
        return _phrase(said)
    return _found(said)


def same(one: str, other: str) -> bool:
    """Return whether two answers say the same: numbers to 1e-6, words whatever their case.

    >>> same("5.0", "5"), same("New  York", "new york"), same("5", "five")
    (True, True, False)
    """
    a, b = _decimal(one), _decimal(other)
    if a is not None and b is not None:
        return abs(a - b) <= _TOLERANCE
    return " ".join(one.casefold().split()) == " ".join(other.casefold().split())


def agreed(answers: Sequence[str | None]) -> list[tuple[str, list[int]]]:
    """Return the different answers with who gave each, the most frequent first.

    None is no answer and has no vote; of a tie the answer first given comes first.

    >>> agreed(["7", "5", None, "5.0"])
    [('5', [1, 3]), ('7', [0])]
    """
    found: list[tuple[str, list[int]]] = []
    for place, answer in enumerate(answers):
        if answer is None:
            continue
        mine = next((votes for known, votes in found if same(known, answer)), None)
        if mine is None:
            found.append((answer, [place]))
        else:
            mine.append(place)
    return sorted(found, key=lambda one: -len(one[1]))


def _after_trigger(text: str) -> str | None:
    end = None
    for match in _TRIGGER.finditer(text):
        end = match.end()
    return None if end is None else text[end:]


def _found(said: str) -> str | None:
    """Return the answer of a text of any kind."""
    first = said.strip(" \t*:$\"'")
    line = first.split("\n", 1)[0][:_LONGEST_ANSWER]
    if _NUMBER_ALONE.match(line):
        return _number(line)
    choice = _CHOICE_FIRST.match(first)
    if choice:
        return choice.group(1) or choice.group(2)
    yes_no = _YES_NO.match(first)
    if yes_no:
        return yes_no.group(1).lower()
    phrase = _phrase(first)
    if phrase is None:
        return None
    numbers = _NUMBER.findall(phrase)
    starts = phrase.lstrip("$€£ ")[:1]
    if len(numbers) == 1 and (starts.isdigit() or starts == "-"):
        return _number(phrase)  # '42 apples'
    return phrase


def _number(text: str) -> str | None:
    said = _last(_NUMBER, text)
    value = None if said is None else _decimal(said)
    if value is None:
        return None
    plain = format(value, "f")
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = None
    for match in pattern.finditer(text):
        found = match.group(match.lastindex or 0)
    return found


def _first_yes_no(text: str) -> str | None:
    match = _YES_NO.search(text)
    return match.group(1).lower() if match else None


def _phrase(text: str) -> str | None:
    """Return what stands before the end of the sentence."""
    first = text.strip(" \t\n*:\"'")
    end = _SENTENCE.search(first)
    phrase = first[: end.start()] if end else first
    return phrase.strip(" \t*:}\"'")[:_LONGEST_ANSWER] or None


def _decimal(text: str) -> Decimal | None:
    digits = text.strip().replace(",", "").strip("$€£% ").rstrip(".")
    if not digits or len(digits) > _MOST_DIGITS or not _NUMBER.fullmatch(digits):
        return None
    try:
        return Decimal(digits)
    except InvalidOperation:
        return None
