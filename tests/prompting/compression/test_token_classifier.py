"""LLMLingua-2: held to the released code on a formula, and to what its own words should do."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from tamis import models
from tamis.errors import ModelError, SettingError
from tamis.prompting import compress
from tamis.prompting.compression.readers import FunctionReader
from tamis.prompting.compression.released_words import ReleasedWords
from tamis.prompting.compression.token_classifier import _loaded, chunks
from tests.prompting.compression.readers import Encoder, golden

GOLDEN = golden("llmlingua2")
CASES = [
    case
    for case in GOLDEN["cases"]
    if case["args"].get("rate", 0) < 1 and "use_context_level_filter" not in case["args"]
]


class WordPieces:
    """The golden file's vocabulary and its formula for the probability of being kept."""

    framing = 2

    def __init__(self, longest):
        self.context = longest - 2
        self.ids = {word: i for i, word in enumerate(GOLDEN["tokenizer"]["vocab"])}

    def pieces(self, text):
        for word in re.finditer(r"\w+|[^\w\s]", text):
            start, found = word.start(), []
            while start < word.end():
                sign = "##" if start > word.start() else ""
                ends = range(word.end(), start, -1)
                end = next((e for e in ends if sign + text[start:e] in self.ids), None)
                if end is None:
                    found = [("[UNK]", word.start(), word.end())]
                    break
                found.append((sign + text[start:end], start, end))
                start = end
            yield from found

    def ends(self, text):
        found = list(self.pieces(text))
        return np.array([end for _, _, end in found], np.int64), [token for token, _, _ in found]

    def tag(self, texts):
        return [self.tagged(list(self.pieces(text))) for text in texts]

    def tagged(self, found):
        ids = np.array([self.ids[token] for token, _, _ in found])
        where = np.arange(1, len(ids) + 1)  # [CLS] is 0
        a, w = GOLDEN["classifier"]["params"]["A"], GOLDEN["classifier"]["params"]["w"]
        return SimpleNamespace(
            spans=np.array([(start, end) for _, start, end in found], np.int64).reshape(-1, 2),
            tokens=[token for token, _, _ in found],
            special=np.array([token == "[UNK]" for token, _, _ in found]),
            keep=1 / (1 + np.exp(-a * np.sin(w * ids + 0.37 * where))),
        )


def counting(text):
    return 0 if not text else 1 + (len(text) - 1) // 5


def released(case):
    args = case["args"]
    return ReleasedWords(
        WordPieces(case["max_seq_len"]),
        tuple(args.get("force_tokens", ())),
        args.get("force_reserve_digit", False),
        args.get("drop_consecutive", False),
        args.get("token_to_word", "mean"),
    )


def test_the_double_computes_the_golden_probabilities():
    first = GOLDEN["first_context"]
    tagged = WordPieces(512).tag([GOLDEN["contexts"][0]])[0]
    assert tagged.tokens == first["tokens"][1:-1]
    np.testing.assert_allclose(tagged.keep, first["p_keep"][1:-1], rtol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['max_seq_len']}-{case['args']}")
def test_the_words_they_keep_are_kept(case):
    how, args = released(case), case["args"]
    rate = args.get("rate", args.get("target_token", 0) / sum(map(counting, GOLDEN["contexts"])))
    labels = []
    for context in GOLDEN["contexts"]:
        for start, end in how._chunks(context, 0):
            words = how.words(how.tagger.tag([context[start:end]])[0], context[start:end])
            kept = how.labels(words, rate, FunctionReader(counting))
            labels += [[word.text, int(stays)] for word, stays in zip(words, kept, strict=True)]
    assert labels == case["expected"]["word_labels"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['max_seq_len']}-{case['args']}")
def test_the_text_they_write_is_written(case):
    args = case["args"]
    done = compress(
        contexts=GOLDEN["contexts"],
        method="token-classifier",
        model=WordPieces(case["max_seq_len"]),
        rate=args.get("rate"),
        target_tokens=args.get("target_token"),
        force_tokens=tuple(args.get("force_tokens", ())),
        force_digits=args.get("force_reserve_digit", False),
        drop_consecutive=args.get("drop_consecutive", False),
        word_score=args.get("token_to_word", "mean"),
        reference=True,
        tokenizer=counting,
    )
    squeezed = re.sub(r"\s", "", case["expected"]["compressed_prompt"])  # spaces are ours
    assert re.sub(r"\s", "", done.text) == squeezed
    assert done.text == "".join(done.original[start:end] for start, end in done.kept)


def test_chunks_end_with_sentences_and_cover_the_text():
    text = "one two three. " * 12
    cut = chunks(Encoder(), text)
    assert "".join(text[a:b] for a, b in cut) == text
    assert all(text[a:b].rstrip().endswith(".") for a, b in cut)


def test_a_long_text_without_sentences_is_cut_all_the_same():
    text = "word " * 200
    assert "".join(text[a:b] for a, b in chunks(Encoder(), text)) == text


def test_chunks_of_all_prompts_are_tagged_in_one_batch():
    encoder = Encoder()
    compress(
        ["a b c d e f. " * 9, "g h i j. " * 9], rate=0.5, method="token-classifier", model=encoder
    )
    assert len(encoder.asked) == 5


def test_the_likeliest_words_are_kept():
    class Digits(Encoder):
        def tagged(self, text, made):
            tagged = super().tagged(text, made)
            tagged.keep = np.array([float(t.isdigit()) for t in tagged.tokens], np.float32)
            return tagged

    done = compress("a 1 b 2 c 3", target_tokens=3, method="token-classifier", model=Digits())
    assert done.text == " 1 2 3"


def test_forced_tokens_are_for_the_reference():
    with pytest.raises(SettingError, match="give keep=, or reference=True"):
        compress("a b", rate=0.5, method="token-classifier", model=Encoder(), force_tokens=("a",))


def test_a_forced_word_that_is_no_token_is_refused():
    with pytest.raises(SettingError, match="is not one token"):
        compress(
            "dog cat dog", rate=0.4, method="token-classifier", model=WordPieces(40),
            force_tokens=("dogs",), reference=True, tokenizer=str.split,
        )  # fmt: skip


def test_a_copy_without_a_bundled_encoder_says_so(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(models, "__file__", "/nowhere/__init__.py")
    _loaded.cache_clear()
    with pytest.raises(ModelError, match="ships no compressor"):
        compress("a b c", rate=0.5, method="token-classifier")


@pytest.mark.parametrize("method", ["token-classifier", "pcrl"])
def test_the_bundled_one_works_offline_at_any_length(method):
    pytest.importorskip("torch", reason='pip install "tamis[models]"')
    text = "In 1903 Marie Curie shared the prize with Henri Becquerel, and it was in Physics. " * 40
    done = compress(text, rate=0.3, method=method)
    assert done.text == "".join(text[a:b] for a, b in done.kept)
    assert done.tokens == pytest.approx(0.3 * done.original_tokens, abs=5)
    assert done.model_tokens <= 1.02 * done.original_tokens


def test_the_bundled_one_holds_names_above_the_words_between_them():
    pytest.importorskip("torch", reason='pip install "tamis[models]"')
    text = "Later Marie Curie shared the prize with Henri Becquerel, and it was in Physics."
    said = _loaded("bundled").tag([text])[0]
    words = [text[a:b].strip() for a, b in said.spans]
    between = {"the", "with", "and", "it", "was", "in"}
    names = [
        p for p, (a, b) in zip(said.keep, said.spans, strict=True) if 6 <= a < 17 or 39 <= a < 54
    ]
    rest = [p for p, word in zip(said.keep, words, strict=True) if word in between]
    assert np.mean(names) > np.mean(rest)


def test_a_number_is_as_likely_kept_as_its_likeliest_token():
    # Pieces of '1987654': 0.9 and 0.1; their mean, 0.5, is below the 0.6 of the words beside it.
    class Digits(Encoder):
        def tagged(self, text, made):
            one = super().tagged(text, made)
            chances = {"19876": 0.9, "54": 0.1}
            one.keep = np.array([chances.get(token, 0.6) for token in one.tokens], np.float32)
            return one

    done = compress("some 1987654 word", target_tokens=2, method="token-classifier", model=Digits())
    assert done.text == " 1987654"
