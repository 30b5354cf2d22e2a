"""Models small enough to follow by hand: they read words, bytes or a formula."""

import json
import re
from pathlib import Path
from zlib import crc32

import numpy as np

from tamis.models.base import TokenLogprobs

GOLDEN = Path(__file__).parents[2] / "golden"


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


class Words:
    """Log-probabilities of pieces of up to four letters, by their spelling alone.

    The protocol and nothing else: no tokenizer, no context. A piece costs what its
    letters' checksum says, but a word of `common` costs next to nothing. `asked` counts
    texts, `tokens` tokens.
    """

    fingerprint = "words"
    piece = re.compile(r"\s*\w{1,4}|\s*[^\w\s]|\s+")
    common = frozenset(["the", "of", "and", "a", "to", "in", "is", "it", "was"])

    def __init__(self):
        self.asked = self.tokens = 0

    def logprobs(self, prompts, continuations=None):
        self.asked += len(prompts)
        befores = ["" if continuations is None else prompt for prompt in prompts]
        return [
            self.score(before, text)
            for before, text in zip(befores, continuations or prompts, strict=True)
        ]

    def score(self, before, text):
        spans = np.array([m.span() for m in self.piece.finditer(text)], np.int64).reshape(-1, 2)
        losses = [self.loss(text[a:b].strip()) for a, b in spans]
        self.tokens += len(spans) + len(self.piece.findall(before))
        return TokenLogprobs(
            text, spans, np.full(len(spans), -1), -np.array(losses, np.float32).reshape(-1)
        )

    def loss(self, piece):
        return 0.01 if piece.lower() in self.common else 1 + crc32(piece.encode()) % 997 / 100

    def generate(self, prompts, **how):
        raise NotImplementedError


class Bytes(Words):
    """One token a byte, so that a character can be several; all that a byte-level BPE can do."""

    fingerprint = "bytes"

    def score(self, before, text):
        spans = [(i, i + 1) for i, c in enumerate(text) for _ in c.encode()]
        losses = [
            1 + crc32(bytes([i % 251, ord(text[a]) % 256])) % 97 for i, (a, _) in enumerate(spans)
        ]
        return TokenLogprobs(
            text,
            np.array(spans, np.int64).reshape(-1, 2),
            np.full(len(spans), -1),
            -np.array(losses, np.float32).reshape(-1),
        )


class Encoder:
    """A double of `Tagger`: pieces of up to five letters, kept by their checksum."""

    context, framing = 30, 2
    piece = re.compile(r"\w{1,5}|[^\w\s]")

    def __init__(self):
        self.tokenizer = lambda text, **how: {"input_ids": self.piece.findall(text)}
        self.asked = []

    def ends(self, text):
        found = list(self.piece.finditer(text))
        return np.array([m.end() for m in found], np.int64), [m.group() for m in found]

    def tag(self, texts):
        from types import SimpleNamespace

        self.asked += texts
        return [self.tagged(text, SimpleNamespace) for text in texts]

    def tagged(self, text, made):
        found = list(self.piece.finditer(text))
        assert len(found) <= self.context
        return made(
            spans=np.array([m.span() for m in found], np.int64).reshape(-1, 2),
            tokens=[m.group() for m in found],
            special=np.zeros(len(found), bool),
            keep=np.array([crc32(m.group().encode()) % 1000 / 1000 for m in found], np.float32),
        )


class Formula:
    """The language model of the golden file: closed formulas for tokens and logits."""

    context = 10**6
    piece = re.compile(r"\n| ?\w+|[^\w]")

    def __init__(self, golden):
        self.words = {word: i for i, word in enumerate(golden["tokenizer"]["vocab"])}
        self.a, self.b = (golden["lm"]["params"][name] for name in "AB")

    def encode(self, text):
        found = list(self.piece.finditer(text))
        ids = np.array([self.words.get(m.group(), 0) for m in found], np.int64)
        return ids, np.array([m.span() for m in found], np.int64).reshape(-1, 2)

    def framed(self, text):
        return self.encode(text)[0]

    def open(self):
        return FormulaReading(self)

    def losses(self, ids):
        """The loss of each token but the first: −log softmax of the formula's logits."""
        back = np.concatenate([[0, 0], ids]).astype(float)
        h2, h1, h0 = (back[shift : shift + len(ids) - 1, None] for shift in range(3))
        v = np.arange(len(self.words))
        logits = self.a * np.sin(0.7 * v + 1.3 * h0 + 0.9 * h1 + 0.4 * h2)
        logits += self.b * np.cos(0.31 * v * (1 + h0 % 5))
        chosen = logits[np.arange(len(ids) - 1), ids[1:]]
        return np.log(np.exp(logits).sum(axis=1)) - chosen


class FormulaReading:
    """What `Reading` promises, without a cache: all is computed again."""

    def __init__(self, lm):
        self.lm, self.length = lm, 0

    def read(self, ids, end=None):
        end = len(ids) if end is None else end
        losses = self.lm.losses(ids[:end])[self.length :].astype(np.float32)
        self.length = end
        return losses

    def crop(self, length):
        self.length = length
