"""Personal data in text: where it stands, of what kind it is, and the text without it.

email   an address, but none of a domain kept for examples (RFC 2606)
phone   a number that is written as one: +44 20 7946 0958, (212) 867-5309, 212-867-5309; none
        of the numbers kept for fiction (555-01xx)
ip      an IPv4 or IPv6 address of the public internet
card    13 to 19 digits with an issuer's beginning and a true check digit (Luhn)
key     a secret by its shape: of AWS, GitHub, GitLab, Google, Hugging Face, OpenAI, Anthropic,
        Slack or Stripe, a JSON web token, the beginning of a private key

Each kind is looked for twice: RE2 says, over a whole batch and without the interpreter's
lock, which texts may hold it, and only those are read closely. A name or an address of a
house is not found: that takes a model.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.errors import SettingError, did_you_mean

__all__ = ["KINDS", "Found", "check_kinds", "counts", "find", "mask", "masked"]


class Found(NamedTuple):
    """A piece of personal data in a text: its kind, and its characters from start up to end."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class _Kind:
    """How one kind is found.

    Attributes
    ----------
    hint : str
        RE2; a text it does not match holds none.
    pattern : re.Pattern
        What it looks like.
    holds : function of str
        Whether what looks like it is it.
    """

    hint: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool]


_ADDRESS = r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"
_PHONE = (
    r"\+[1-9]\d{0,2}(?:[ .-]?(?:\(\d{1,4}\)|\d{1,4})){2,6}"  # with a country's code
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}([.-])\d{3}\1\d{4}"  # as in North America
)
_IP = r"(?:\d{1,3}\.){3}\d{1,3}|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}"
_CARD = r"\d(?:[ -]?\d){12,18}"
_ISSUERS = re.compile(
    r"4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[47]|6(?:011|4[4-9]|5)|35(?:2[89]|[3-8])|3(?:0[0-5]|[689])"
)
_KEY = (
    r"(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255}"
    r"|glpat-[\w-]{20,64}|AIza[\w-]{35}|hf_[A-Za-z0-9]{30,64}|sk-[A-Za-z0-9_-]{20,200}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,200}|[rs]k_live_[A-Za-z0-9]{16,200}"
    r"|eyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{10,2000}"
    r"|-----BEGIN (?:[A-Z]{2,10} )?PRIVATE KEY-----"
    r"(?:[A-Za-z0-9+/=\s]{1,8000}-----END (?:[A-Z]{2,10} )?PRIVATE KEY-----)?"
)
_RESERVED = re.compile(
    r"@(?:.*\.)?(?:example\.(?:com|org|net)|\w+\.(?:test|invalid|example))$", re.I
)


def _is_phone(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return 8 <= len(digits) <= 15 and not re.search(r"55501\d\d$", digits)


def _is_public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _is_card(text: str) -> bool:
    """Return whether the check digit is true: every second digit from the right counts double."""
    digits = [int(digit) for digit in text if digit.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    known = _ISSUERS.match("".join(map(str, digits))) is not None
    return known and len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_key(text: str) -> bool:
    """Return whether it is no stand-in, such as sk-xxxxxxxxxxxxxxxxxxxxxxxx."""
    secret = text.rpartition("_")[2] if text.startswith("gh") else text[4:]
    return len(set(secret)) > 8 and (text.startswith("-----") or bool(re.search(r"\d", secret)))


def _alone(pattern: str, joints: str = "") -> re.Pattern[str]:
    """Compile a pattern that no letter or digit touches, not even across one of `joints`."""
    return re.compile(rf"(?<![\w{joints}])(?:{pattern})(?!\w|[{joints}@]\w)")


KINDS: dict[str, str] = {
    "email": "e-mail address",
    "phone": "phone number",
    "ip": "IP address",
    "card": "card number",
    "key": "key",
}
"""Kinds of personal data, and what one is called."""

_KINDS = {
    "email": _Kind(r"\w@\w", _alone(_ADDRESS, "@"), lambda text: not _RESERVED.search(text)),
    "phone": _Kind(
        r"\+[1-9][\d .()-]{6}|\d{3}\) ?\d{3}|\d{3}[.-]\d{3}[.-]\d{4}",
        _alone(_PHONE, "+.-"),
        _is_phone,
    ),
    "ip": _Kind(
        r"\d\.\d{1,3}\.\d{1,3}\.\d|[0-9A-Fa-f]:[0-9A-Fa-f:]*:", _alone(_IP, ".:"), _is_public
    ),
    "card": _Kind(r"\d(?:[ -]?\d){12}", _alone(_CARD, ".-"), _is_card),
    "key": _Kind(
        r"AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|AIza|hf_|sk-|xox[abeoprs]-|k_live_|eyJ|BEGIN ",
        _alone(_KEY),
        _is_key,
    ),
}


def check_kinds(kinds: tuple[str, ...], who: str) -> None:
    """Refuse a kind that there is not; `who` is what the error calls the asker."""
    for kind in kinds:
        if kind not in KINDS:
            raise SettingError(
                f"{who}: no kind of personal data '{kind}'; {did_you_mean(kind, KINDS)}"
            )


def find(text: str, kinds: tuple[str, ...] = tuple(KINDS)) -> list[Found]:
    """Return the personal data in a text, in its order; of two that overlap, the first.

    >>> find("write to ada@lovelace.org or call +44 20 7946 0958")
    [Found(kind='email', start=9, end=25), Found(kind='phone', start=34, end=50)]
    """
    there = [
        Found(kind, match.start(), match.end())
        for kind in kinds
        for match in _KINDS[kind].pattern.finditer(text)
        if _KINDS[kind].holds(match[0])
    ]
    kept: list[Found] = []
    for found in sorted(there, key=lambda found: (found.start, -found.end)):
        if not kept or found.start >= kept[-1].end:
            kept.append(found)
    return kept


def counts(
    texts: pa.LargeStringArray, kinds: tuple[str, ...] = tuple(KINDS)
) -> dict[str, npt.NDArray[np.int64]]:
    """Return how many pieces of each kind stand in each text: int64 arrays of shape (n,)."""
    numbers = {kind: np.zeros(len(texts), np.int64) for kind in kinds}
    for row in np.flatnonzero(_may_hold(texts, kinds)):
        for found in find(texts[int(row)].as_py(), kinds):
            numbers[found.kind][row] += 1
    return numbers


def masked(
    texts: pa.LargeStringArray, kinds: tuple[str, ...] = tuple(KINDS)
) -> pa.LargeStringArray:
    """Return the texts with the name of its kind in the place of each piece.

    >>> masked(pa.array(["mail ada@lovelace.org"], pa.large_string())).to_pylist()
    ['mail [email]']
    """
    rows = np.flatnonzero(_may_hold(texts, kinds))
    if not len(rows):
        return texts
    held = texts.to_pylist()
    for row in rows:
        held[row] = _masked(held[row], kinds)
    return pa.array(held, pa.large_string())


def mask(dataset: Dataset, kinds: tuple[str, ...] = tuple(KINDS)) -> Dataset:
    """Return a data set with all text masked, at any depth; tamis' own columns stay as they are.

    An id is that of the content as it was: the masked rows can still be traced to the pool.
    """
    check_kinds(kinds, "mask")
    return dataset.with_format("arrow").map(
        _mask_table, fn_kwargs={"kinds": kinds}, batched=True, desc="mask"
    ).with_format(None)  # fmt: skip


def _mask_table(table: pa.Table, kinds: tuple[str, ...]) -> pa.Table:
    for place, name in enumerate(table.column_names):
        if not name.startswith("tamis_"):
            column = table[name].combine_chunks()
            table = table.set_column(place, table.field(name), _mask_values(column, kinds))
    return table


def _mask_values(values: pa.Array, kinds: tuple[str, ...]) -> Any:  # noqa: ANN401 - any Arrow array
    """Mask the strings of an array, of its lists and of its objects."""
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks)
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = masked(values.cast(pa.large_string()).fill_null(""), kinds)
        nothing = pa.scalar(None, pa.large_string())
        return pc.if_else(values.is_valid(), texts, nothing).cast(kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = _mask_values(values.flatten(), kinds)
        lengths = pc.list_value_length(values).fill_null(0).to_numpy()
        ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]))
        build = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
        offset = pa.int64() if pa.types.is_large_list(kind) else pa.int32()
        return build.from_arrays(ends.cast(offset), inner, mask=values.is_null()).cast(kind)
    if pa.types.is_struct(kind):
        parts = [_mask_values(part, kinds) for part in values.flatten()]
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=values.is_null())
    return values


def _masked(text: str, kinds: tuple[str, ...]) -> str:
    parts, end = [], 0
    for found in find(text, kinds):
        parts += [text[end : found.start], f"[{found.kind}]"]
        end = found.end
    return "".join([*parts, text[end:]])


def _may_hold(texts: pa.LargeStringArray, kinds: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    hint = "|".join(f"(?:{_KINDS[kind].hint})" for kind in kinds)
    if not hint:
        return np.zeros(len(texts), bool)
    return np.asarray(pc.match_substring_regex(texts, hint))
