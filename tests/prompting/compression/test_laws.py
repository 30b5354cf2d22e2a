"""What every compressor promises, over arbitrary text."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tamis.prompting import compress
from tamis.prompting.compression import get, names
from tamis.prompting.compression.structure import structured
from tamis.prompting.compression.units import characters_cut
from tests.prompting.compression.readers import Bytes, Encoder, Words

HOWS = [
    {"method": "truncate"},
    {"method": "random", "seed": 3},
    {"method": "llmlingua"},
    {"method": "llmlingua", "units": "token"},
    {"method": "llmlingua", "units": "token", "segment": 7},
    {"method": "longllmlingua", "question": "Who won?", "reorder": False},
    {"method": "longllmlingua", "question": "Who won?", "reorder": False, "contrastive": True},
    {"method": "selective-context"},
    {"method": "selective-context", "units": "token"},
    {"method": "selective-context", "units": "sentence"},
    {"method": "token-classifier", "model": Encoder()},
    {"method": "pcrl", "model": Encoder()},
]
pytestmark = pytest.mark.parametrize(
    "how", HOWS, ids=lambda how: "-".join(str(part) for part in how.values())[:40]
)

PIECES = [
    "The winner", " was", " Ada Lovelace", ".", " In 1984, 3.5 %", "\n\n", "\r\n", " ", "\t",
    "東京は", "日本の首都です。", "Größe", "e\u0301\u0323", 
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f1e9\U0001f1ea", "각", "नि", "\ufeff", "\x00", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    '{"a": [1, 2]}', "<b>bold</b>", "https://x.org/a?b=1", "{name}", "`code`", "''", "…",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=120), st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
)
EXAMPLES = settings(max_examples=25, deadline=None)


def counted(lm, text):
    return len(lm.logprobs([text])[0].ids) if text else 0


def longest_character(lm, text):
    """Tokens of the longest character as people see it: no result can be nearer than that."""
    edges = [at for at in range(len(text) + 1) if not characters_cut(text, at)]
    return max((counted(lm, text[a:b]) for a, b in pairwise(edges)), default=0)


def test_no_method_is_missing(how):
    assert {one["method"] for one in HOWS} == set(names())
    assert get(how["method"]).name == how["method"]


@EXAMPLES
@given(text=TEXTS, rate=st.sampled_from([0.0, 0.1, 0.33, 0.5, 0.9, 1.0]))
def test_the_result_is_the_join_of_spans_of_the_original(how, text, rate):
    done = compress(text, rate=rate, lm=Words(), tokenizer=lambda t: counted(Words(), t), **how)
    assert done.text == "".join(done.original[start:end] for start, end in done.kept)
    edges = [edge for span in done.kept for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= start < end <= len(done.original) for start, end in done.kept)
    assert not any(characters_cut(done.original, edge) for edge in edges)


@EXAMPLES
@given(text=TEXTS, target=st.integers(0, 60), lm=st.sampled_from([Words(), Bytes()]))
@example(text="::\x1b\x80\x80\U00040000", target=10, lm=Bytes())  # one word, for `random`
def test_a_budget_is_met_and_never_passed(how, text, target, lm):
    how = {name: value for name, value in how.items() if name != "question"}
    if how["method"] == "longllmlingua":
        how["question"] = "?"
        target += 3
    done = compress(text, target_tokens=target, lm=lm, tokenizer=lambda t: counted(lm, t), **how)
    assert done.tokens == counted(lm, done.text) <= max(target, 0)
    assert done.original_tokens == counted(lm, done.original)
    near = 5 + max(longest_character(lm, text), 2)
    assert done.tokens >= min(done.original_tokens, target) - near


@EXAMPLES
@given(texts=st.lists(TEXTS, max_size=4), rate=st.sampled_from([0.2, 0.5]))
def test_a_batch_comes_out_as_one_by_one(how, texts, rate):
    def pressed(prompt):
        return compress(
            prompt, rate=rate, lm=Words(), tokenizer=lambda t: counted(Words(), t), **how
        )

    assert pressed(texts) == [pressed(text) for text in texts]


@EXAMPLES
@given(text=TEXTS)
def test_structure_survives(how, text):
    done = compress(
        text, rate=0.2, structure=True, lm=Words(), tokenizer=lambda t: counted(Words(), t), **how
    )
    alive = np.zeros(len(done.original) + 1, bool)
    for start, end in done.kept:
        alive[start:end] = True
    assert all(alive[start:end].all() for start, end in structured(done.original))


def test_settings_show_in_the_repr(how):
    method = get(how["method"])(**{k: v for k, v in how.items() if k not in {"method", "question"}})
    assert repr(method).startswith(type(method).__name__ + "(")
