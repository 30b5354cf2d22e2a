"""What programs read must come out whole."""

import pytest

from tamis.errors import SettingError
from tamis.prompting import compress
from tamis.prompting.compression.structure import named, structured
from tests.prompting.compression.readers import Words


def found(text):
    return [text[a:b] for a, b in structured(text)]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("say\n```py\nx = [1\n```\nthen", ["```py\nx = [1\n```"]),
        ("never closed ~~~\ncode to the end", ["~~~\ncode to the end"]),
        ("call `f(x)` twice", ["`f(x)`"]),
        ('give {"a": [1, {"b": null}]} back', ['{"a": [1, {"b": null}]}']),
        ("so [1, 2.5] it", ["[1, 2.5]"]),
        ("<b class='x'>bold</b> and <br/>", ["<b class='x'>", "</b>", "<br/>"]),
        ("see https://x.org/a?b=c#d now", ["https://x.org/a?b=c#d"]),
        ("or ada@example.org, say", ["ada@example.org"]),
        (
            "Dear {name}, {{ greeting }} %(who)s ${var}",
            ["{name}", "{{ greeting }}", "%(who)s", "${var}"],
        ),
        ("1,000.50 on 2024-01-02 at 12:30, up 3.5 %", ["1,000.50", "2024-01-02", "12:30", "3.5 %"]),
        ("$5 and −3", ["$5", "−3"]),
        ("a < b > c, x {not closed", []),
    ],
)
def test_finds(text, whole):
    assert found(text) == whole


def test_deep_brackets_take_no_time():
    assert found("[" * 100_000) == []
    assert found("{" * 50_000 + "}" * 50_000)[:1] in ([], ["{}"], ["{{}}"])


def test_numbers_do_not_run_together():
    text = "it rose (40, to be sure, 500), then (0.02, as they say, 0.2) and 7"
    words = compress(text, rate=0.1, structure=True, lm=Words()).text
    assert words == " (40, 500 (0.02, 0.2 7".replace("(40, 500", "(40 500").replace("0.02,", "0.02")


def test_what_a_pattern_names_survives():
    text = "the contract of Ada Lovelace with the firm of Mr Babbage"
    done = compress(text, target_tokens=6, keep=[r"Ada \w+", "Babbage"], lm=Words())
    assert "Ada Lovelace" in done.text
    assert "Babbage" in done.text


def test_a_pattern_alone_may_be_one_string():
    assert "Ada" in compress("of the Ada and it was of", rate=0.3, keep="Ada", lm=Words()).text


def test_spans_of_patterns_are_merged():
    assert named("abcdef", ["ab", "bc", "e"]).tolist() == [[0, 3], [4, 5]]


def test_a_wrong_pattern_is_named():
    with pytest.raises(SettingError, match=r"keep='\(': not a regular expression"):
        compress("a b c d", rate=0.5, keep="(", lm=Words())
