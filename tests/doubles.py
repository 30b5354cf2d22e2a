"""Tiny real models that tests share, and a terminal."""

import io
from functools import cache

import numpy as np
from datasets import Dataset

from tamis.models.base import TokenLogprobs
from tamis.models.judges import Ratings


class _Double:
    def __repr__(self):
        return f"{type(self).__name__}()"  # without an address: names of tests show it


class Numbers(_Double):
    """An embedder of texts that are numbers: "3 4" is the vector (3, 4), "" has none.

    Other texts get the lengths of their first three words. `asked` counts texts.
    """

    fingerprint = "numbers"

    def __init__(self):
        self.asked = 0

    def __eq__(self, other):
        return isinstance(other, Numbers)

    def embed(self, texts):
        self.asked += len(texts)
        rows = [self._vector(text) for text in texts]
        width = max(1, *map(len, rows))
        return np.array([row or [np.nan] * width for row in rows], np.float32)

    def _vector(self, text):
        words = text.split()
        try:
            return [float(word) for word in words]
        except ValueError:
            return [float(len(word)) for word in [*words, "", "", ""][:3]]


class Letters(_Double):
    """An embedder by hashed words: 256 signs, rows of length 1; what a bag of words knows."""

    fingerprint = "letters"

    def embed(self, texts):
        vectors = np.zeros((len(texts), 256), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                place = sum(ord(letter) * 31**i for i, letter in enumerate(word[:8]))
                vectors[row, place % 256] += 1 if place // 256 % 2 else -1
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(length, length, np.nan)


class Spelling(_Double):
    """A language model of words: one of n letters costs n nats, after a prompt half as much.

    The first word of a text that stands alone has no probability. `asked` notes each request.
    """

    fingerprint = "spelling"

    def __init__(self):
        self.asked = []

    def __eq__(self, other):
        return isinstance(other, Spelling)

    def generate(self, prompts, **how):
        raise NotImplementedError

    def logprobs(self, prompts, continuations=None):
        if continuations is None:
            prompts, continuations = [""] * len(prompts), prompts
        self.asked += zip(prompts, continuations, strict=True)
        return [self._scored(*pair) for pair in zip(prompts, continuations, strict=True)]

    def _scored(self, prompt, text):
        words = text.split()
        costs = [-len(word) / (2 if prompt else 1) for word in words]
        if words and not prompt:
            costs[0] = np.nan
        at = np.arange(len(words))
        return TokenLogprobs(text, np.stack([at, at + 1], 1), at, np.array(costs, np.float32))


class Lengths(_Double):
    """A judge that gives a point for every word of an answer, five at most; none to 'nonsense'."""

    fingerprint = "lengths"

    def __eq__(self, other):
        return isinstance(other, Lengths)

    def rate(self, prompts, responses):
        words = [len(response.split()) for response in responses]
        mad = ["nonsense" in response for response in responses]
        scores = [np.nan if odd else min(5.0, n) for n, odd in zip(words, mad, strict=True)]
        said = ["bla\nbla" if odd else f"{n} words" for n, odd in zip(words, mad, strict=True)]
        return Ratings(np.array(scores), said)


class Terminal(io.StringIO):
    """What a program takes for a terminal; it keeps what is written."""

    def isatty(self):
        return True


def pool_at(*points, **columns):
    """Return a pool whose texts are these points; more columns by name."""
    texts = [" ".join(map(str, point)) for point in points]
    return Dataset.from_dict({"text": texts, **columns})


@cache
def tiny_lm():
    """A Llama of one layer with random weights, that reads words; None without torch."""
    try:
        import torch
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    except ImportError:
        return None
    from tamis.models.transformers import TransformersLM

    letters = "abcdefghijklmnopqrstuvwxyz"
    words = {word: i for i, word in enumerate(["<s>", "</s>", "?", " ", "\n", *letters])}
    reader = Tokenizer(models.WordLevel(words, unk_token="?"))
    reader.pre_tokenizer = pre_tokenizers.Split("", "isolated")  # letter by letter
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=reader, bos_token="<s>", eos_token="</s>", unk_token="?"
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=1,
    )
    module = LlamaForCausalLM(config)
    return TransformersLM(module, tokenizer=tokenizer, device="cpu")
