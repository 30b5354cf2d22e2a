import numpy as np
import pytest

pytest.importorskip("sentence_transformers", reason='pip install "tamis[models]"')

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

import tamis
from tamis.errors import ModelError


@pytest.fixture(scope="module")
def folder(tiny_tokenizer, tmp_path_factory):
    """A static embedder with random weights."""
    torch.manual_seed(0)
    static = StaticEmbedding(tiny_tokenizer.backend_tokenizer, embedding_dim=24)
    folder = tmp_path_factory.mktemp("models") / "static"
    SentenceTransformer(modules=[static], device="cpu").save_pretrained(str(folder))
    return folder


def load(folder, **options):
    return tamis.models.load_embedder(f"sentence-transformers:{folder}", device="cpu", **options)


def test_rows_are_the_librarys_own_at_length_one(folder):
    embedder = load(folder)
    texts = ["The sky is blue", "", "Tea", "naïve café"]
    points = embedder.embed(texts)
    assert points.dtype == np.float32
    assert np.isnan(points).all(axis=1).tolist() == [False, True, False, False]
    own = embedder.model.encode(texts, normalize_embeddings=True)
    np.testing.assert_allclose(points[[0, 2, 3]], own[[0, 2, 3]], atol=1e-6)
    assert repr(embedder) == "SentenceTransformersEmbedder('sentence-transformers:static')"


def test_a_prompt_is_put_before_each_text(folder):
    plain, prompted = load(folder), load(folder, prompt="The sky: ")
    np.testing.assert_allclose(prompted.embed(["Tea"]), plain.embed(["The sky: Tea"]), atol=1e-6)


def test_nothing_has_the_width_of_something(folder):
    embedder = load(folder)
    assert embedder.embed([]).shape == (0, 24)
    assert embedder.embed([""]).shape == (1, 24)


def test_a_changed_embedder_has_another_fingerprint(folder):
    seen = [load(folder).fingerprint]
    assert load(folder).fingerprint == seen[0]
    seen.append(load(folder, prompt="passage: ").fingerprint)
    seen.append(load(folder, truncate_dim=8).fingerprint)
    embedder = load(folder)
    with torch.no_grad():
        next(embedder.model.parameters())[3, 3] += 1e-6
    seen.append(embedder.fingerprint)
    embedder = load(folder)
    embedder.model[0].tokenizer.add_tokens(["xyz"])
    seen.append(embedder.fingerprint)
    assert len(set(seen)) == 5


@pytest.mark.filterwarnings("ignore")  # of what exports, in its own code
def test_onnx_gives_the_vectors_of_torch(tiny_tokenizer, tmp_path):
    pytest.importorskip("optimum.onnxruntime", reason='pip install "sentence-transformers[onnx]"')
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    vocabulary = len(tiny_tokenizer)
    BertModel(BertConfig(vocab_size=vocabulary, **size)).save_pretrained(tmp_path / "bert")
    tiny_tokenizer.save_pretrained(tmp_path / "bert")
    modules = [Transformer(str(tmp_path / "bert"), max_seq_length=64), Pooling(32)]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(tmp_path / "encoder"))

    torches, onnxes = load(tmp_path / "encoder"), load(tmp_path / "encoder", backend="onnx")
    texts = ["The sky is blue", "", "naïve café"]
    np.testing.assert_allclose(onnxes.embed(texts), torches.embed(texts), atol=1e-6)
    assert onnxes.fingerprint != torches.fingerprint


def test_an_option_that_does_not_exist_is_said_in_one_line(folder):
    with pytest.raises(ModelError, match=r"static: cannot be loaded .*no_such_option") as caught:
        load(folder, no_such_option=1)
    assert "\n" not in str(caught.value)
