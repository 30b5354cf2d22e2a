"""How a report says numbers, and how it shows text that nobody has checked."""

import math
import re
from dataclasses import dataclass

__all__ = ["Cut", "duration", "number", "share", "shown", "without_secrets"]

_UNSEEN = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
_SECRET = re.compile(
    r"""(?ix)
    (?P<named> [\w-]* (?:api_?key|token|secret|password) ["']? \s*[:=]\s* ["']?) [^\s,"'&}]+
    | (?<=//) [^\s/@:]+ : [^\s/@]+ (?=@)
    | \b (?:sk-|hf_) [\w-]{16,}"""
)


@dataclass(frozen=True)
class Cut:
    """The beginning of a text, and how many characters were left out."""

    text: str
    left_out: int = 0


def shown(text: str, most: int) -> Cut:
    r"""Return at most `most` characters of `text`, control characters as visible symbols.

    >>> shown("a\x00b\r\nc", most=4)
    Cut(text='a␀b\n', left_out=1)
    """
    whole = text.replace("\r\n", "\n").translate(_UNSEEN)
    return Cut(whole[:most], max(len(whole) - most, 0))


def without_secrets(text: str) -> str:
    """Return `text` with what looks like a key, a token or a password blotted out.

    >>> without_secrets("judge: openai:gpt-4o?api_key=abc123&n=2, target_tokens: 500")
    'judge: openai:gpt-4o?api_key=•••&n=2, target_tokens: 500'
    """
    return _SECRET.sub(lambda match: (match["named"] or "") + "•••", text)


def number(value: float) -> str:
    """Say a number in four digits.

    >>> number(-1234.5678), number(0.00001234), number(float("nan"))
    ('−1,235', '0.00001234', '–')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    digits = 3 - math.floor(math.log10(abs(value))) if value else 0
    if digits > 8:
        written = f"{value:.3e}"
    else:
        written = f"{value:,.{max(digits, 0)}f}"
        written = written.rstrip("0").rstrip(".") if "." in written else written
    return written.replace("-", "−")


def share(part: int, whole: int) -> str:
    """Say a part in percent; never 0 or 100 for what is not quite that.

    >>> share(1, 3), share(1, 100000), share(99999, 100000), share(5, 5), share(0, 0)
    ('33.3%', '<0.1%', '>99.9%', '100%', '0%')
    """
    if not part:
        return "0%"
    if part == whole:
        return "100%"
    percent = 100 * part / whole
    if percent < 0.1:
        return "<0.1%"
    return ">99.9%" if percent > 99.9 else f"{percent:.1f}%"


def duration(seconds: float | None) -> str:
    """Say a time as a person would.

    >>> duration(0.0421), duration(75), duration(7322), duration(None)
    ('0.04 s', '1 min 15 s', '2 h 2 min', '–')
    """
    if seconds is None:
        return "–"
    if seconds < 59.5:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
