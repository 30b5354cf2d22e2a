import math

import pytest

import tamis
from tamis.prompting.generation.grounding import grounding, passages, sentences

TEXT = "Bees dance in a figure of eight. The angle gives the way. Its length gives the distance!"


def test_what_a_text_says_is_grounded_and_what_it_does_not_is_not():
    assert grounding("The angle gives the way.", TEXT) == 1
    assert grounding("Whales sing loudly.", TEXT) == 0


def test_one_unsupported_sentence_is_enough():
    # Of "Wolves dance too": "dance" alone, 1 of 3.
    assert grounding("Bees dance. Wolves dance too.", TEXT) == pytest.approx(1 / 3)


def test_a_word_counts_as_often_as_the_text_has_it():
    # "gives" stands twice in the text: 2 of 4.
    assert grounding("gives gives gives gives", TEXT) == 0.5


def test_an_answer_without_words_has_no_grounding():
    assert math.isnan(grounding("!?", TEXT))


def test_other_scripts_have_words_too():
    assert grounding("Пчёлы танцуют.", "Летом пчёлы танцуют в улье.") == 1


def test_passages_keep_to_their_words_and_to_sentences():
    found = [TEXT[start:end] for start, end in passages(TEXT, 13)]
    assert found == [
        "Bees dance in a figure of eight. The angle gives the way.",
        "Its length gives the distance!",
    ]
    assert all(len(TEXT[start:end].split()) <= 5 for start, end in passages(TEXT, 5))
    assert passages("", 5) == []


def test_shuffled_texts_lose_their_grounding():
    # On real rows: what a text's own last sentence has, and what another text's has.
    rows = tamis.load("data/instructions.jsonl.zst", progress=False)
    texts = [text for text in rows["output"][:2000] if len(sentences(text)) >= 4][:100]
    said = [text[slice(*sentences(text)[-1])] for text in texts]
    own = [grounding(one, text) for one, text in zip(said, texts, strict=True)]
    others = [grounding(one, text) for one, text in zip(said, texts[1:] + texts[:1], strict=True)]
    assert min(value for value in own if not math.isnan(value)) == 1
    assert sum(value >= 0.6 for value in others) < 10
