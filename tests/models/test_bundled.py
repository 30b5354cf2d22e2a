"""The models that ship in the package load, and know what the smallest model must know."""

import json

import numpy as np
import pytest

from tamis.models import bundled
from tamis.models.quality import QualityScorer
from tamis.models.static import StaticEmbedder

PARTS = ["compressor", "embedder", "lm", "quality", "summary-vectors"]
ASKED = [
    ("What are the symptoms of diabetes?", "Common signs are thirst, tiredness and high sugar."),
    ("How do I bake bread at home?", "Mix flour, water, salt and yeast, let it rise, then bake."),
    ("Who was the first president of the United States?", "George Washington took office in 1789."),
    ("What is the fastest way to learn a language?", "Speak and read every day with natives."),
]


@pytest.fixture(scope="module")
def embedder():
    return StaticEmbedder(str(bundled("embedder")))


def test_all_together_are_small_enough_to_ship():
    files = [file for part in PARTS for file in bundled(part).rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 30e6


@pytest.mark.parametrize("part", PARTS)
def test_a_card_says_on_what_and_under_which_licence(part):
    card = (bundled(part) / "README.md").read_text("utf-8")
    assert "licence" in card.lower()
    assert "Held-out" in card
    assert "must not" in card


def test_an_answer_is_near_its_question(embedder):
    asked, answered = (embedder.embed([pair[side] for pair in ASKED]) for side in (0, 1))
    assert (asked @ answered.T).argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_sentence_transformers_computes_the_same_where_no_word_is_repeated(embedder):
    theirs = pytest.importorskip(
        "sentence_transformers.sentence_transformer.modules", reason='pip install "tamis[models]"'
    )
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    words = Tokenizer.from_file(str(bundled("embedder") / "tokenizer.json"))
    static = theirs.StaticEmbedding(words, embedding_weights=embedder.vectors.astype("f4"))
    texts = ["How do I bake bread?", "thirst, tiredness and high sugar", "a drum SIEVE!"]
    found = SentenceTransformer(modules=[static, theirs.Normalize()], device="cpu").encode(texts)
    np.testing.assert_allclose(found, embedder.embed(texts), atol=1e-6)


def test_people_are_rated_above_nonsense(embedder):
    scorer = QualityScorer(str(bundled("quality")), embedder)
    prompts, answers = zip(*ASKED, strict=True)
    salad = [" ".join(sorted(answer.split())) for answer in answers]
    good, bad = scorer.score(prompts, answers), scorer.score(prompts, salad)
    assert ((good >= 0) & (good <= 5)).all()
    assert (good > bad).all()


def test_the_language_model_is_one_that_vllm_has_kernels_for():
    config = json.loads((bundled("lm") / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["head_dim"] == 64
    assert config["max_position_embeddings"] >= 1024


def test_the_language_model_prefers_english_to_its_words_in_disorder():
    pytest.importorskip("transformers", reason='pip install "tamis[models]"')
    import tamis

    lm = tamis.models.load("bundled", device="cpu")
    order, disorder = lm.logprobs(
        ["The patient was asked to see a doctor in the morning.",
         "In patient asked doctor was see the a to the morning the."]
    )  # fmt: skip
    assert order.sum > disorder.sum


def test_the_language_model_answers_a_message_and_stops():
    pytest.importorskip("transformers", reason='pip install "tamis[models]"')
    import tamis

    lm = tamis.models.load("bundled", device="cpu")
    asked = [{"role": "user", "content": "Write only the first word.\n\napple, pear, plum"}]
    rendered = lm.tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert rendered.startswith("<s><|user|>\n")
    assert rendered.endswith("</s>\n<|assistant|>\n")
    answer = lm.generate([asked], max_tokens=64)[0]
    assert answer.text.strip()
    assert answer.finishes == ("stop",)
