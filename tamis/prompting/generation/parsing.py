"""What models write, read as data: bounded, without what cannot be seen, never obeyed."""

import re

__all__ = ["LONGEST", "cleaned", "instances_of", "labelled", "labels_of", "numbered"]

LONGEST = 20_000  # characters of an answer that are looked at

# Control characters but tab and line feed, what turns the direction of text, joins or hides,
# and lone surrogates.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_ITEM = re.compile(r"\n\d{1,9}\s?\. ")
_FIRST_ITEM = re.compile(r"^\s*\d{1,9}\s?\.\s")
_EXAMPLE = re.compile(r"Example\s?\d*\.?")
_OUTPUT = re.compile(r"Output\s*\d*\s*:")
_INPUT = re.compile(r"^Input\s*\d*\s*:")
_LABEL = "Class label:"


def cleaned(text: str) -> str:
    r"""Return what can be seen of the first `LONGEST` characters of a text.

    >>> cleaned("one\x1b[2J\r\ntwo\u202e")
    'one[2J\ntwo'
    """
    return _UNSEEN.sub("", text[:LONGEST].replace("\r\n", "\n"))


def numbered(text: str) -> list[str]:
    r"""Return the items of a numbered list that a model goes on with, each on one line.

    Where it begins anew with a number, what stands before the number is talk.

    >>> numbered(" Name a star.\n10. Name\n a  moon.\n11. Sing.")
    ['Name a star.', 'Name a moon.', 'Sing.']
    >>> numbered("Here they are:\n9. Name a star.\n10. Sing.")
    ['Name a star.', 'Sing.']
    """
    first, *items = _ITEM.split(text)
    if _FIRST_ITEM.match(first):
        first = _FIRST_ITEM.sub("", first)
    elif first.rstrip().endswith(":") and items:
        first = ""
    return [" ".join(item.split()) for item in (first, *items) if item.strip()]


def instances_of(text: str) -> list[tuple[str, str]]:
    r"""Return (input, output) of each example a model writes for a task; input may be ''.

    >>> instances_of("Example 1\nInput: cat\nOutput: chat\nExample 2\nOutput: chien")
    [('cat', 'chat'), ('', 'chien')]
    >>> instances_of("I cannot do that.")
    []
    """
    if _EXAMPLE.search(text):
        return [_instance(part) for part in _EXAMPLE.split(text) if part.strip()]
    return [_instance(text)] if _OUTPUT.search(text) else []


def _instance(text: str) -> tuple[str, str]:
    before, *after = _OUTPUT.split(text)
    if not after:
        return "", text.strip()
    return _INPUT.sub("", before.strip()).strip(), after[0].strip()


def labelled(text: str) -> list[tuple[str, str]]:
    r"""Return (input, class label) of each input that a model writes for a label.

    >>> labelled("Class label: yes\nIt is.\nClass label: no")
    [('It is.', 'yes'), ('', 'no')]
    """
    found = []
    for part in text.split(_LABEL)[1:]:
        label, _, given = part.strip().partition("\n")
        found.append((given.strip(), label.strip()))
    return found


def labels_of(text: str, names: tuple[str, ...]) -> dict[str, str]:
    r"""Return what stands after each of `names` and a colon, at the start of a line.

    The first of each counts, up to the next of any.

    >>> labels_of("Task: sum it up\nAnswer: 3\n4\nTask: again", ("Task", "Answer"))
    {'Task': 'sum it up', 'Answer': '3\n4'}
    >>> labels_of("no label", ("Task", "Answer"))
    {}
    """
    marks = re.compile(rf"^[ \t]*({'|'.join(names)})[ \t]*:", re.MULTILINE | re.IGNORECASE)
    found = [*marks.finditer(text)]
    ends = [*(mark.start() for mark in found[1:]), len(text)]
    said: dict[str, str] = {}
    for mark, end in zip(found, ends, strict=False):  # where none is found, there is still an end
        said.setdefault(mark[1].capitalize(), text[mark.end() : end].strip())
    return said
