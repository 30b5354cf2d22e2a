import numpy as np
import pytest

pytest.importorskip("transformers", reason='pip install "tamis[models]"')

from tamis.errors import DataError, SettingError
from tamis.models.tokens import TextTokenizer, score


@pytest.fixture(scope="module")
def reader(tiny_tokenizer):
    return TextTokenizer(tiny_tokenizer, "tiny")


def echo(pieces):
    """'Score' each token by its own id."""
    return [piece.ids[piece.first :].astype(np.float32) for piece in pieces]


def test_tokens_are_the_continuations_own(reader):
    (scored,) = score(reader, ["The sky is"], [" blue."], 256, echo)
    assert scored.tokens == [" blue", "."]
    assert reader.tokenizer.decode(scored.ids) == " blue."
    assert scored.logprobs.tolist() == scored.ids.tolist()


def test_a_token_over_the_border_belongs_to_the_continuation_and_is_clipped(reader):
    # ' blue' is one token: the prompt's last two characters go with it.
    (scored,) = score(reader, ["The sky is b"], ["lue."], 256, echo)
    assert scored.tokens == ["lue", "."]
    assert reader.tokenizer.decode(scored.ids) == " blue."


def test_a_character_of_several_tokens_lends_each_its_span(reader):
    (scored,) = score(reader, ["x"], ["☃"], 256, echo)
    assert scored.tokens == ["☃"] * 3


def test_an_empty_continuation_has_no_tokens_and_no_mean(reader):
    (scored,) = score(reader, ["The sky is"], [""], 256, echo)
    assert (scored.tokens, scored.count) == ([], 0)
    assert np.isnan(scored.mean)
    assert np.isnan(scored.sum)


def test_with_nothing_before_it_the_first_token_has_no_probability(reader, monkeypatch):
    assert score(reader, ["The sky"], None, 256, echo)[0].count == 2  # after <s>
    bare = TextTokenizer(reader.tokenizer, "bare")
    monkeypatch.setitem(vars(bare), "leading", [])
    (scored,) = score(bare, ["The sky"], None, 256, echo)
    assert scored.tokens == ["The", " sky"]
    assert np.isnan(scored.logprobs).tolist() == [True, False]
    assert scored.mean == scored.sum == scored.ids[1]


@pytest.mark.parametrize("prompt", ["", "x" * 30, "The sky is blue. " * 30])
@pytest.mark.parametrize("repeats", [1, 40])
def test_windows_score_each_token_once_with_half_a_context_before_it(reader, prompt, repeats):
    seen = []

    def run(pieces):
        seen.extend(pieces)
        return echo(pieces)

    text = "Größe, naïve café. " * repeats
    (scored,) = score(reader, [prompt], [text], 32, run)
    assert scored.logprobs.tolist() == scored.ids.tolist()
    covered = {place for start, end in scored.spans.tolist() for place in range(start, end)}
    assert covered == set(range(len(text)))
    assert all(len(piece.ids) <= 32 for piece in seen)
    assert all(piece.ids[0] == reader.tokenizer.bos_token_id for piece in seen)
    assert all(piece.first >= 16 for piece in seen[1:])


def test_a_template_that_brings_its_bos_gets_no_second(reader):
    messages = [{"role": "user", "content": "The sky?"}]
    (encoded,) = reader.encode([messages])
    assert encoded.text.startswith("<s><|user|>")
    assert encoded.ids.tolist().count(reader.tokenizer.bos_token_id) == 1


def test_messages_without_a_template_are_refused(reader, monkeypatch):
    monkeypatch.setattr(reader.tokenizer, "chat_template", None)
    with pytest.raises(SettingError, match="no chat template; give text"):
        reader.encode([[{"role": "user", "content": "The sky?"}]])


def test_one_text_instead_of_a_list_is_refused(reader):
    with pytest.raises(DataError, match=r"write \[text\]"):
        reader.encode("The sky")


def test_a_continuation_is_wanted_for_each_prompt(reader):
    with pytest.raises(DataError, match="2 prompts, but 1 continuations"):
        reader.encode(["a", "b"], ["c"])
