import pytest

from tamis.models.spelling import spans_of


@pytest.mark.parametrize(
    ("tokens", "text", "pieces"),
    [
        (["<s>", "The", " sky"], "The sky", ["", "The", " sky"]),
        (["The", "sky"], "The sky", ["The", " sky"]),  # SentencePiece, token by token
        (["東", "�", "�", "!"], "東京!", ["東", "京", "京", "!"]),
        (["<s>", "", "", "京", "!"], "京!", ["", "京", "京", "京", "!"]),  # as vLLM spells
        (["a", "�", "�"], "aß", ["a", "ß", "ß"]),
        ([" a", " a"], " a a", [" a", " a"]),
        ([], "", []),
    ],
)
def test_tokens_lie_where_they_are_spelt(tokens, text, pieces):
    assert [text[start:end] for start, end in spans_of(tokens, text)] == pieces


@pytest.mark.parametrize("tokens", [["The"], ["The", " sea"], ["x", "The sky", "y", "z"][:1]])
def test_tokens_that_do_not_spell_the_text_have_no_place(tokens):
    assert spans_of(tokens, "The sky") is None
