"""Token classifiers of transformers: what they say of a text, alone and in a batch."""

import numpy as np
import pytest

from tamis.errors import ModelError

torch = pytest.importorskip("torch", reason='pip install "tamis[models]"')

from tamis.models.tagger import Tagger  # noqa: E402
from tamis.prompting import compress  # noqa: E402

WORDS = "the a sky sea is blue and below it tea water boil add wait for minutes"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A BERT of two layers with random weights and a vocabulary of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    torch.manual_seed(0)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = [sign + chr(code) for code in range(97, 123) for sign in ("", "##")]
    listed = dict.fromkeys([*special, *WORDS.split(), *letters, ".", ","])
    vocabulary = {word: i for i, word in enumerate(listed)}
    words = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]",
    )  # fmt: skip
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, num_labels=2, initializer_range=0.5,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("tagger") / "tiny"
    BertForTokenClassification(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def tagger(folder):
    return Tagger(str(folder), device="cpu")


def test_probabilities_are_the_models_own(tagger):
    text = "the sky is blue, and the sea"
    ids = torch.tensor([tagger.tokenizer(text)["input_ids"]])
    with torch.inference_mode():
        own = tagger.module(input_ids=ids).logits.softmax(-1)[0, 1:-1, 1].numpy()
    said = tagger.tag([text])[0]
    np.testing.assert_allclose(said.keep, own, atol=1e-5)
    assert [text[a:b] for a, b in said.spans] == text.replace(",", " ,").split()
    assert said.tokens == text.replace(",", " ,").split()


def test_a_batch_says_what_each_says_alone(tagger):
    texts = ["the sky", "boil the water and add the tea, wait for minutes", "", "sea"]
    batch = tagger.tag(texts)
    for text, said in zip(texts, batch, strict=True):
        np.testing.assert_allclose(said.keep, tagger.tag([text])[0].keep, atol=1e-5)
    assert len(batch[2].keep) == 0


def test_unknown_words_are_marked(tagger):
    assert tagger.tag(["the 東 sky"])[0].special.tolist() == [False, True, False]


def test_a_folder_compresses(folder, tagger):
    text = "boil the water, add the tea and wait for minutes. " * 30
    done = compress(text, rate=0.4, method="token-classifier", model=str(folder))
    assert done.text == "".join(text[a:b] for a, b in done.kept)
    assert done.tokens == pytest.approx(0.4 * done.original_tokens, abs=5)
    assert done.model_tokens < 1.2 * done.original_tokens
    again = compress(text, rate=0.4, method="token-classifier", model=tagger)
    assert again.text == done.text


def test_the_fingerprint_follows_the_weights(folder, tagger):
    other = Tagger(str(folder), device="cpu")
    assert other.fingerprint == tagger.fingerprint
    with torch.no_grad():
        next(iter(other.module.parameters())).add_(1)
    assert other.fingerprint != tagger.fingerprint


def test_a_model_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(ModelError, match="cannot be loaded") as told:
        Tagger(str(tmp_path / "none"))
    assert "\n" not in str(told.value)
