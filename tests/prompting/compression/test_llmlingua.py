"""LLMLingua, in its default setting and segment by segment."""

import numpy as np
import pytest

from tamis.models.base import TokenLogprobs
from tamis.prompting import compress
from tamis.prompting.compression.llmlingua import LLMLingua, within_budget
from tests.prompting.compression.readers import Words


class Levels(Words):
    """A word that is a number surprises by so much; others not at all."""

    def loss(self, piece):
        return float(piece) if piece.isdigit() else 0.0


class Letters(Words):
    """Pieces that surprise by what they spell, numbers by 3."""

    def loss(self, piece):
        return {"four": 4.0, "five": 5.0, "sixx": 6.0, "seld": 1.0, "nine": 9.0}.get(piece, 3.0)


def test_the_most_surprising_words_are_kept():
    done = compress("5 a 9 b 7 c 1 d", target_tokens=3, lm=Levels())
    assert done.text == "5 9 7"


def test_equal_words_are_kept_from_the_front():
    assert compress("a b c d e f", target_tokens=3, lm=Levels()).text == "a b c"


def test_a_word_counts_by_the_mean_of_its_tokens():
    # 'seldnine' is two pieces, 1 and 9: their mean, 5, beats 'four' and not 'sixx'.
    first, then = (compress("four seldnine sixx", target_tokens=n, lm=Letters()) for n in (1, 3))
    assert (first.text, then.text) == (" sixx", " seldnine sixx")


def test_a_number_counts_by_the_sum_of_its_tokens():
    # '99887766' is two pieces of 3: their mean is below 'four' and 'five', their sum above.
    done = compress("four 99887766 five", target_tokens=3, lm=Letters())
    assert done.text == " 99887766 five"


def test_tokens_can_be_kept_without_their_word():
    done = compress("b 4000 c aaaa9999", target_tokens=2, lm=Levels(), units="token")
    assert done.text == " 40009999"


def test_the_budget_controller_of_the_paper():
    # L = 100 + 50 + 1000, rate 0.5: (575 - 100 - 50) / 1000 a token, k = 2 caps at 850.
    assert within_budget(np.array([3.0, 2, 1]), np.array([400, 400, 200]), cap=850) == [0, 1]
    assert within_budget(np.array([1.0, 2, 3]), np.array([400, 400, 200]), cap=850) == [2, 1]
    assert within_budget(np.array([np.nan, 1]), np.array([5, 5]), cap=1) == [1]
    assert within_budget(np.array([]), np.array([], int), cap=1) == []


def test_documents_of_low_perplexity_are_dropped_whatever_words_they_hold():
    documents = ["1 1 1 1 1 1 1 9", "8 8 8 8 8 8 8 8", "5 5 5 5 5 5 5 5"]
    done = compress(contexts=documents, rate=0.25, coarse=1.2, lm=Levels())
    assert done.text.split() == ["8"] * 6


def test_a_budget_that_the_chosen_do_not_fill_is_filled_from_the_others():
    documents = ["9 9", "1 1 1 1 1 1 1 1"]
    done = compress(contexts=documents, target_tokens=6, lm=Levels(), coarse=0.1)
    assert done.tokens == 6
    assert done.text.startswith("9 9")


class Echo(Words):
    """A word that stands in the text before it surprises by 0, another by 9."""

    def score(self, before, text):
        spans = [m.span() for m in self.piece.finditer(text)]
        seen = set(before.split())
        losses = []
        for a, b in spans:
            word = text[a:b].strip()
            losses.append(0.0 if word in seen else 9.0)
            seen.add(word)
        self.tokens += len(spans) + len(self.piece.findall(before))
        return TokenLogprobs(text, np.array(spans, np.int64).reshape(-1, 2),
                             np.full(len(spans), -1), -np.array(losses, np.float32))  # fmt: skip


def test_a_segment_is_read_after_the_compressed_text_before_it():
    seen = []

    class Spy(Echo):
        def logprobs(self, prompts, continuations=None):
            seen.append((list(prompts), list(continuations or [])))
            return super().logprobs(prompts, continuations)

    compress("aa aa bb bb cc cc dd dd", rate=0.5, units="token", segment=4, lm=Spy(),
             tokenizer=str.split)  # fmt: skip
    befores = [prompt for prompts, after in seen if after for prompt in prompts]
    assert befores
    assert all("aa aa" not in before for before in befores)


def test_each_segment_loses_the_same_share():
    text = "9 9 9 9 9 9 9 9 1 1 1 1 1 1 1 1 "
    lm = Levels()
    kept = compress(text, rate=0.5, segment=8, units="token", lm=lm, tokenizer=str.split).text
    whole = compress(text, rate=0.5, units="token", lm=lm, tokenizer=str.split).text
    assert kept.split().count("9") < whole.split().count("9") == 8


def test_segments_of_all_prompts_share_calls():
    class Calls(Levels):
        calls = 0

        def logprobs(self, prompts, continuations=None):
            self.calls += 1
            return super().logprobs(prompts, continuations)

    lm = Calls()
    compress(["1 2 3 4 5 6 7 8 9 " * 4] * 5, rate=0.5, segment=12, lm=lm, tokenizer=str.split)
    few = lm.calls
    lm.calls = 0
    compress("1 2 3 4 5 6 7 8 9 " * 4, rate=0.5, segment=12, lm=lm, tokenizer=str.split)
    assert few == lm.calls


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_prompt_goes_through_the_model_once_at_any_rate(rate):
    lm = Words()
    text = "Kepler measured the orbit of Mars, and Tycho watched. " * 400
    done = compress(text, rate=rate, lm=lm, tokenizer=str.split)
    assert done.model_tokens == pytest.approx(lm.tokens, rel=0.02)
    assert lm.tokens <= 1.2 * len(Words.piece.findall(text))


def test_settings_that_differ_are_shown():
    assert repr(LLMLingua()) == "LLMLingua()"
    assert repr(LLMLingua(units="token", segment=100)) == "LLMLingua(units='token', segment=100)"
