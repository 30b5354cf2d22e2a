"""Tests that make up their input; TAMIS_FUZZ=50 tries fifty times as much, anew each time."""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tamis.errors import TamisError

TIMES = int(os.environ.get("TAMIS_FUZZ", "1"))
LONGEST_LINE = 1100

letters = st.characters(exclude_categories=())  # lone surrogates too: JSON and YAML have them
odd_texts = st.text(letters, max_size=8) | st.sampled_from(
    [
        "", " ", "\0", "\x1b[31m", "a\nb", "\u2028", "\ud800", "\ufeff", "../../up", "/tmp/x", "~",
        "'; DROP TABLE runs; --", "{question}", "{0.__class__}", "%s", "<script>", "[link=x]",
        "x" * 5000, "9" * 5000, "(" * 500, "NaN", "-0", "1e999", "${HOME}", "$(id)", "CON",
    ]
)  # fmt: skip
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**400, 1e308, -1, 2**63])
    | odd_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_texts, inner, max_size=3),
    max_leaves=5,
)


def tries(count):
    """Return settings that try `count` inputs, times TAMIS_FUZZ."""
    return settings(
        deadline=None, max_examples=count * TIMES, suppress_health_check=list(HealthCheck)
    )


class a_line_at_most:
    """Let errors of tamis pass that are one printable line, without a secret; no others."""

    def __init__(self, without="\0"):
        self.secret = without

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if not isinstance(error, TamisError):
            return False
        assert str(error).isprintable(), repr(error)
        assert len(str(error)) < LONGEST_LINE
        assert self.secret not in str(error)
        return True


def files_below(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


def spoilt(value, slips):
    """Return JSON with some of its parts changed: each slip is (which, new value or GONE)."""
    for which, new in slips:
        places = list(_places(value))
        place = places[which % len(places)]
        value = _changed(value, place, new)
    return value


GONE = object()
slips = st.lists(st.tuples(st.integers(0, 50), json_values | st.just(GONE)), max_size=3)


def _places(value, here=()):
    yield here
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[key], (*here, key))


def _changed(value, place, new):
    if not place:
        return None if new is GONE else new
    key, *rest = place
    copy = value.copy()
    if not rest and new is GONE:
        del copy[key]
    else:
        copy[key] = _changed(value[key], rest, new)
    return copy
