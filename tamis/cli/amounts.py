"""Amounts as a person writes them: 1.6B rows, 64GB, 10Gbit a second."""

import re

from tamis.errors import SettingError

__all__ = ["bytes_of", "count_of", "count_text"]

_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
_BYTES = {
    f"{prefix}{unit}": float(base**power) * size
    for unit, base, size in (("b", 1000, 1.0), ("ib", 1024, 1.0), ("bit", 1000, 1 / 8))
    for power, prefix in enumerate(("", "k", "m", "g", "t", "p"))
}


def count_of(option: str, said: str) -> int:
    """Read a whole number: 1600000000, 1.6B, 250M, 10k, 1e9.

    >>> count_of("--rows", "1.6B"), count_of("--rows", "10k"), count_of("--rows", "2_000")
    (1600000000, 10000, 2000)
    """
    number, unit = _parted(said)
    if number is None or unit not in _COUNTS:
        raise SettingError(f"{option} {said}: no number; give one such as 250M, 1.6B or 10k")
    count = round(number * _COUNTS[unit])
    if count < 1:
        raise SettingError(f"{option} {said}: less than one; give a number such as 250M")
    return count


def bytes_of(option: str, said: str) -> float:
    """Read an amount of bytes, or of bits: 64GB, 512MiB, 10Gbit; 'a second' may follow.

    >>> bytes_of("--memory", "64GB"), bytes_of("--network", "10Gbit/s")
    (64000000000.0, 1250000000.0)
    """
    number, unit = _parted(said.strip().lower().removesuffix("/s"))
    if not number or unit not in _BYTES:
        raise SettingError(f"{option} {said}: no amount; give one such as 64GB, 500MB or 10Gbit")
    return number * _BYTES[unit]


def count_text(number: float) -> str:
    """Return a number of rows as a person says it.

    >>> count_text(1.6e9), count_text(1_234_567), count_text(999), count_text(0)
    ('1.6B', '1.23M', '999', '0')
    """
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"


def _parted(said: str) -> tuple[float | None, str]:
    found = re.fullmatch(r"([\d_]*\.?\d+(?:e\+?\d+)?)\s*([a-z]*)", said.strip().lower())
    return (float(found[1]), found[2]) if found else (None, "")
