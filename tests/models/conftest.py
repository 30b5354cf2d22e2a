"""Tiny models made on the spot: nothing is downloaded."""

import pytest

WORDS = [
    "The sky is blue, and the sea below it is bluer still.",
    "Größe, naïve café, Ærø; 東京は日本の首都です。 Привет, мир!",
    "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))",
    "1. Boil water. 2. Add the tea. 3. Wait for 3-5 minutes (or longer).",
]

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>\n"
    "{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """A byte-level BPE of 400 words that puts <s> before a text, as Llama's does."""
    pytest.importorskip("transformers", reason='pip install "tamis[models]"')
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator(WORDS * 3, trainer)
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture(scope="session")
def tiny_folder(tiny_tokenizer, tmp_path_factory):
    """A Llama of two layers with random weights, saved as a model is."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,  # of 32: what vLLM has CPU kernels for
        num_key_value_heads=1,
        max_position_embeddings=1024,
        initializer_range=0.2,  # so that tokens differ in likelihood
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    LlamaForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    """The tiny Llama as a language model."""
    import tamis

    return tamis.models.load(f"transformers:{tiny_folder}", device="cpu")


@pytest.fixture
def exactly(monkeypatch):
    """Compute in float32 everywhere, so that figures can be compared."""
    import torch

    from tamis.models import passes

    monkeypatch.setattr(passes, "_computes_in", lambda module: torch.float32)
