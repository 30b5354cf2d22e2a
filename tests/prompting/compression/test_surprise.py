"""Reading with any model: windows, failures, figures that are none."""

import numpy as np
import pytest

from tamis.errors import ModelError
from tamis.models.base import TokenLogprobs
from tamis.prompting import compress
from tamis.prompting.compression.surprise import Meter
from tests.prompting.compression.readers import Words


class Small(Words):
    """Reads 64 tokens at a time, and refuses more."""

    context = 64

    def score(self, before, text):
        assert len(self.piece.findall(before + text)) <= self.context
        return super().score(before, text)


def test_a_text_longer_than_the_context_is_read_once_in_windows():
    text = "the cat sat on a mat and was of it. " * 300
    said = Meter(lambda: Small(), progress=False).read([text])[0]
    alone = Words().logprobs([text])[0]
    assert len(said.losses) == pytest.approx(len(alone.ids), rel=0.05)
    assert said.spans[-1, 1] == len(text)
    assert (np.diff(said.spans[:, 1]) >= 0).all()
    assert said.model_tokens <= 1.2 * len(alone.ids)


def test_a_text_is_read_once_for_all_that_is_asked_of_it():
    lm = Words()
    compress("the cat sat on a mat and was of it " * 5, rate=0.5, lm=lm)
    read_once = lm.tokens
    meter = Meter(lambda: lm, progress=False)
    meter.read(["x y z"])
    meter.read(["x y z", "x y z"])
    assert lm.tokens == read_once + 3


def test_a_failing_backend_is_one_line():
    class Failing(Words):
        def logprobs(self, prompts, continuations=None):
            raise RuntimeError("the connection broke\nTraceback …")

    with pytest.raises(
        ModelError, match=r"failed while reading a prompt \(the connection broke\)"
    ) as told:
        compress("a b c d", rate=0.5, lm=Failing())
    assert "\n" not in str(told.value)


def test_an_error_of_ours_is_passed_on():
    class Full(Words):
        def logprobs(self, prompts, continuations=None):
            raise ModelError("out of memory; try less")

    with pytest.raises(ModelError, match=r"^out of memory; try less$"):
        compress("a b c d", rate=0.5, lm=Full())


@pytest.mark.parametrize("figure", [np.nan, np.inf, -np.inf])
def test_figures_that_are_none_do_no_harm(figure):
    class Odd(Words):
        def score(self, before, text):
            said = super().score(before, text)
            said.logprobs[::2] = figure
            return said

    text = "Ada wrote the first program of all, and Babbage built nothing"
    done = compress(text, rate=0.5, lm=Odd())
    assert done.text == "".join(text[a:b] for a, b in done.kept)
    assert 0 < done.tokens <= done.original_tokens // 2


def test_a_word_without_a_figure_is_kept_last_but_for_the_first():
    class Blind(Words):
        def score(self, before, text):
            said = super().score(before, text)
            said.logprobs[:] = [np.nan if w in ("Ada", " dog") else -1.0 for w in said.tokens]
            return said

    done = compress("Ada saw dog and cat", target_tokens=3, lm=Blind())
    assert done.text == "Ada saw and"


def test_a_backend_that_counts_wrongly_is_named():
    class Wrong(Words):
        def score(self, before, text):
            said = super().score(before, text)
            return TokenLogprobs(text, said.spans, said.ids, said.logprobs[:-1])

    with pytest.raises(ModelError, match="4 tokens, but 3 log-probabilities"):
        compress("a b c d", rate=0.5, lm=Wrong())


def test_a_hundred_thousand_tokens_fit_a_small_model():
    text = "the cat sat on a mat and was of it. " * 9_000
    done = compress(text, rate=0.1, lm=Small(), tokenizer=str.split)
    assert done.tokens == pytest.approx(0.1 * done.original_tokens, abs=5)
