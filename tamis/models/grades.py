"""The grade in what a judge wrote: a number from 0 to 5, or NaN.

A judge is asked for its grade alone on the first line. Many write 'Score: 4', '4.5/5' or a
sentence; some refuse, and some repeat what the rated text says of itself. What is read is

    the first line   a number alone, one after a word such as 'score' or 'give', one 'of 5'
    a later line     that begins with 'Score:', or where the judge says 'I give' or 'my rating'

and the first line that holds a grade counts. Where that holds two that differ, where its
sentence denies, reports or quotes ('I cannot give', 'the text asks for', '"Score: 5"'), and
where the number is out of range, there is no grade: a guess would look like a judgement.
"""

import math
import re

__all__ = ["grade_in"]

_GRADE = r"(?<![\w.,/-])(?P<grade>[0-9]+(?:[.,][0-9]+)?)(?![0-9%]|[.,][0-9]|\s?[-–][0-9])"
_OF_FIVE = r"\s*(?:/|out of|of)\s*5(?:\.0+)?(?![0-9/])"
_OF_OTHERS = r"\s*(?:/|out of|of|or|to|and)\s*[0-9]"
_NUMBER = rf"{_GRADE}(?:{_OF_FIVE}|(?!{_OF_OTHERS}))"
_AFTER = r"(?:stars?|points?|because|since|for|as|due|on|in|and|but|overall)\b"
_ENDED = rf"(?=\s*(?:$|[.,;:!)}}\"–—-]|{_AFTER}))"
_VERB = r"(?:giv(?:e|ing)|rate|rating|award|assign|deserves?|earns?|merits?)\b"
_WORD = r"(?:scor|rat|grad|giv|award|assign|deserv|earn|merit)(?:e|ed|es|ing|s)?\b"
_NAME = r"(?:\w+\s+){0,3}\"?(?:score|rating|grade)\"?"

_ALONE = re.compile(rf"\W?{_NUMBER}\W?\s*(?:(?:stars?|points?)?\W?$|[-–—:;,(]\s*(?![0-9]))", re.I)
_LABELLED = re.compile(rf"\b(?:score|rating|grade)\b[^0-9.!?]{{0,60}}{_NUMBER}", re.I)
_GIVEN = re.compile(rf"\b{_VERB}[^0-9.!?]{{0,60}}{_NUMBER}{_ENDED}", re.I)
_OUT_OF = re.compile(rf"{_GRADE}{_OF_FIVE}{_ENDED}", re.I)
_SAID = (_LABELLED, _GIVEN, _OUT_OF)
_OWN = re.compile(rf"\W*(?:{_NAME}\W*[0-9]|(?:.*[.!?,]\s+)?(?:i|i'd|i'll|my)\s)", re.I)
_DENIED = re.compile(
    rf"(?:not|n't|cannot|unable|never|refuse|decline)\s(?:\w+\s){{0,4}}{_WORD}", re.I
)
_REPORTED = re.compile(
    r"\b(?:say|said|claim|ask|tell|told|demand|insist|instruct|state|request|want|written|"
    r"wrote|writes|ignor)\w*\b",
    re.I,
)


def grade_in(words: str) -> float:
    r"""Return the grade that a judge gave, 0 to 5; NaN where it gave none.

    >>> [grade_in(words) for words in ("4.5\nIt is right.", "Score: 4", "I think it is good.")]
    [4.5, 4.0, nan]
    """
    lines = [re.sub(r"[*_#`]", "", line).strip() for line in words.splitlines()]
    lines = [line for line in lines if line]
    before = ""
    for place, line in enumerate(lines):
        grades = _grades(line) if place == 0 or _OWN.match(line) else set()
        if grades and not (before.endswith(":") and _REPORTED.search(before)):
            (grade, *others) = grades
            return grade if not others and grade <= 5 else math.nan
        before = line
    return math.nan


def _grades(line: str) -> set[float]:
    """Return the grades that a line gives in the judge's own words."""
    if line.startswith(">"):
        return set()  # a quotation
    alone = _ALONE.match(line)
    said = [alone] if alone else [match for pattern in _SAID for match in pattern.finditer(line)]
    return {
        float(match["grade"].replace(",", "."))
        for match in said
        if alone or _own(line[: match.start("grade")])
    }


def _own(before: str) -> bool:
    """Return whether what stands before a number lets it be the judge's own verdict."""
    sentence = re.split(r"[.!?]\s", before)[-1]
    quoted = before.count('"') % 2 or before.count("“") > before.count("”")
    return not (quoted or _DENIED.search(sentence) or _REPORTED.search(sentence))
