"""`compress`, as it is called."""

import pytest

from tamis.errors import BudgetError, DataError, SettingError
from tamis.prompting import compress
from tests.prompting.compression.readers import Words

TEXT = "Ada Lovelace wrote the first program of all, and it was never run in her life."


@pytest.mark.parametrize("text", ["", "word", " ", "\n"])
def test_a_prompt_of_a_token_or_none_comes_back_as_it_is(text):
    done = compress(text, target_tokens=1, lm=Words())
    assert (done.text, done.tokens, done.model_tokens) == (text, done.original_tokens, 0)


@pytest.mark.parametrize("budget", [{"rate": 1.0}, {"target_tokens": 10_000}])
def test_a_prompt_under_its_budget_comes_back_as_it_is(budget):
    done = compress(TEXT, lm=Words(), **budget)
    assert done.text == TEXT
    assert done.kept == ((0, len(TEXT)),)
    assert (done.rate, done.ratio) == (1.0, 1.0)


def test_nothing_is_left_of_nothing():
    done = compress(TEXT, rate=0.0, lm=Words())
    assert (done.text, done.kept, done.tokens, done.ratio) == ("", (), 0, float("inf"))


def test_the_budget_counts_the_readers_tokens():
    done = compress(TEXT, target_tokens=30, tokenizer=len, lm=Words())
    assert 25 <= done.tokens == len(done.text) <= 30
    assert done.original_tokens == len(TEXT)


@pytest.mark.parametrize("target", range(0, len(TEXT), 7))
def test_a_target_is_never_passed(target):
    done = compress(TEXT, target_tokens=target, tokenizer=len, lm=Words())
    assert target - 5 <= len(done.text) <= target


def test_the_rate_is_half_where_nothing_is_said():
    assert compress(TEXT, lm=Words()).text == compress(TEXT, rate=0.5, lm=Words()).text


def test_the_share_is_rounded_down():
    # 0.29 * 100 is 28.999…: a count is never rounded up.
    done = compress("a " * 100, rate=0.29, method="truncate", tokenizer=str.split)
    assert done.tokens == 28


def test_uncommon_words_are_kept():
    done = compress("the of Kepler and a to in is it was Tycho", target_tokens=3, lm=Words())
    assert done.text.split() == ["Kepler", "Tycho"] or done.tokens <= 3


def test_question_and_instruction_stay_whole():
    done = compress(TEXT, instruction="Answer.", question="Who wrote it?", rate=0.6, lm=Words())
    assert done.text.startswith("Answer.\n\n")
    assert done.text.endswith("\n\nWho wrote it?")


def test_what_must_survive_has_to_fit_a_target():
    with pytest.raises(BudgetError, match=r"must survive .* has 5 tokens, but target_tokens is 3"):
        compress(TEXT, question="Who wrote it?", target_tokens=3, lm=Words(), tokenizer=None)


def test_what_must_survive_stretches_a_rate():
    done = compress(TEXT, question="Who wrote it?", rate=0.01, lm=Words())
    assert done.text == "Who wrote it?"


def test_documents_are_parted_as_they_were():
    done = compress(contexts=[TEXT, TEXT], rate=0.7, coarse=float("inf"), lm=Words())
    assert done.original == f"{TEXT}\n\n{TEXT}"
    assert done.text.count("\n\n") == 1


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"rate": 1.5}, SettingError, "rate=1.5"),
        ({"rate": 0.5, "target_tokens": 3}, SettingError, "not both"),
        ({"target_tokens": -1}, BudgetError, "give 0 or more"),
        ({"method": "llmlingia"}, SettingError, "did you mean 'llmlingua'"),
        ({"coarze": 1.0}, SettingError, "llmlingua has no setting 'coarze'; did you mean 'coarse'"),
        ({"units": "letter"}, SettingError, "give 'word' or 'token'"),
        ({"segment": 1}, SettingError, "2 or more"),
        ({"method": "longllmlingua"}, SettingError, "goes by a question"),
        ({"method": "truncate", "reference": True}, SettingError, "no reference to follow"),
        ({"tokenizer": "gpt2"}, SettingError, "is no folder; write transformers:ID"),
        ({"tokenizer": 7}, SettingError, "give 'transformers:ID'"),
        ({"contexts": "one text"}, DataError, "write \\[text\\]"),
        ({"contexts": ["a"]}, SettingError, "not both"),
        ({"question": 7}, DataError, "the question is int"),
    ],
)
def test_a_wrong_call_is_one_line(how, error, message):
    with pytest.raises(error, match=message):
        compress(TEXT, lm=Words(), **how)


def test_half_a_character_is_refused():
    with pytest.raises(DataError, match="character 1 is half of a surrogate pair"):
        compress("a\ud800b", rate=0.5, lm=Words())


def test_model_tokens_say_what_went_through_the_model():
    lm = Words()
    done = compress(TEXT, rate=0.5, lm=lm, tokenizer=str.split)
    assert done.model_tokens == lm.tokens
