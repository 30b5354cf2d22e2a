import numpy as np
import pytest
from datasets import Dataset

from tamis.data.load import load
from tamis.models.base import Generation, IncompleteError, TokenLogprobs, unit_rows
from tamis.models.cached import CachedEmbedder, CachedLM, embeddings


class Letters:
    """Scores a letter by its code, answers in capitals, embeds by length; notes each question."""

    def __init__(self, fingerprint="letters-1"):
        self.fingerprint = fingerprint
        self.asked = []

    def logprobs(self, prompts, continuations=None):
        self.asked += prompts
        return [self.scored(text) for text in continuations or prompts]

    def scored(self, text):
        codes = np.array([ord(letter) for letter in text], np.int64)
        at = np.arange(len(text))
        return TokenLogprobs(
            text, np.stack([at, at + 1], 1), codes, (-codes / 64).astype(np.float32)
        )

    def generate(self, prompts, *, n=1, temperature=0.0, **how):
        self.asked += prompts
        texts = [tuple(f"{prompt}{i}".upper() for i in range(n)) for prompt in prompts]
        return [Generation(said, ("stop",) * n) for said in texts]

    def embed(self, texts):
        self.asked += texts
        return unit_rows(np.array([[len(text), 1.0] for text in texts]).reshape(-1, 2))


def quiet(lm):
    return CachedLM(lm, progress=False)


def test_a_second_call_asks_for_nothing_and_says_the_same():
    lm = Letters()
    for call in ("logprobs", "losses", "generate"):
        lm.asked.clear()
        first = getattr(quiet(lm), call)(["ab", "c", "ab", "éß"])
        assert sorted(lm.asked) == ["ab", "c", "éß"]
        again = getattr(quiet(lm), call)(["éß", "ab"])
        assert len(lm.asked) == 3
        assert repr(list(again)) == repr([first[3], first[0]])


def test_what_is_kept_is_what_was_said():
    lm = Letters()
    for one, own in zip(quiet(lm).logprobs(["ab", ""]), lm.logprobs(["ab", ""]), strict=True):
        assert (one.text, one.tokens) == (own.text, own.tokens)
        for part in ("ids", "spans", "logprobs"):
            kept, said = getattr(one, part), getattr(own, part)
            assert (kept.dtype, kept.tolist()) == (said.dtype, said.tolist())


def test_losses_are_sums_and_counts():
    kept = quiet(Letters()).losses(["x", "x"], ["ab", ""])
    np.testing.assert_array_equal(kept, [[-(97 + 98) / 64, 2], [np.nan, 0]])


def test_a_prompt_and_its_continuation_are_one_question():
    lm = Letters()
    quiet(lm).losses(["a", "ab", "abc"], ["bc", "c", ""])
    quiet(lm).losses(["abc"])
    quiet(lm).losses([[{"role": "user", "content": "abc"}]], ["bc"])
    assert len(lm.asked) == 5


@pytest.mark.parametrize(
    "other", [{"n": 2}, {"seed": 1}, {"temperature": 1.0}, {"stop": "x"}, {"schema": {"a": 1}}]
)
def test_another_way_of_asking_is_another_question(other):
    lm = Letters()
    quiet(lm).generate(["ab"])
    (answer,) = quiet(lm).generate(["ab"], **other)
    assert len(lm.asked) == 2
    assert answer.texts == ("AB0", "AB1")[: other.get("n", 1)]


def test_another_model_is_asked_again():
    first, second = Letters(), Letters("letters-2")
    quiet(first).losses(["ab"])
    quiet(second).losses(["ab"])
    assert second.asked == ["ab"]


def test_a_run_that_stops_goes_on_where_it_was():
    class Mortal(Letters):
        def generate(self, prompts, **how):
            if len(self.asked) >= 512:
                raise KeyboardInterrupt
            return super().generate(prompts, **how)

    prompts = [f"p{i}" for i in range(1000)]
    with pytest.raises(KeyboardInterrupt):
        quiet(Mortal()).generate(prompts)
    lm = Letters()
    answers = quiet(lm).generate(prompts)
    assert lm.asked == prompts[512:]
    assert [answer.text for answer in answers] == [f"P{i}0" for i in range(1000)]


def test_what_a_server_answered_in_part_is_kept():
    class Partial(Letters):
        def generate(self, prompts, **how):
            answers = super().generate(prompts, **how)
            lost = {i: "HTTP 500" for i, prompt in enumerate(prompts) if prompt in "bd"}
            raise IncompleteError(
                "lost", [None if i in lost else said for i, said in enumerate(answers)], lost
            )

    with pytest.raises(IncompleteError, match="lost"):
        quiet(Partial()).generate(["a", "b", "c", "d"])
    lm = Letters()
    assert [one.text for one in quiet(lm).generate(["a", "b", "c", "d"])] == [
        "A0",
        "B0",
        "C0",
        "D0",
    ]
    assert lm.asked == ["b", "d"]


def test_what_has_no_answer_is_named_by_its_place_in_the_call():
    class Refusing(Letters):
        def generate(self, prompts, **how):
            raise IncompleteError("lost", [None] * len(prompts), {len(prompts) - 1: "HTTP 400"})

    prompts = [f"p{i}" for i in range(300)]
    quiet(Letters()).generate(prompts[:280])
    with pytest.raises(IncompleteError) as caught:
        quiet(Refusing()).generate(prompts)
    assert caught.value.reasons == {299: "HTTP 400"}
    assert len(caught.value.answers) == 300


def test_nothing_is_asked_of_nothing():
    assert quiet(Letters()).logprobs([]) == []
    assert quiet(Letters()).losses([]).shape == (0, 2)
    assert quiet(Letters()).generate([]) == []
    assert CachedEmbedder(Letters(), progress=False).embed([]).shape == (0, 2)


# Embeddings


def test_embeds_each_text_once():
    embedder = Letters()
    first = CachedEmbedder(embedder, progress=False).embed(["ab", "c", "ab"])
    again = CachedEmbedder(embedder, progress=False).embed(["c"])
    assert sorted(embedder.asked) == ["ab", "c"]
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first[1], again[0])
    np.testing.assert_allclose(first[0], np.array([2, 1]) / np.sqrt(5), atol=1e-7)


def test_a_pool_that_grew_costs_what_grew():
    rows = [{"prompt": "p" * i, "completion": "c"} for i in range(1, 9)]
    embedder = Letters()
    embeddings(load(Dataset.from_list(rows[:6])), embedder, progress=False)
    embedder.asked.clear()
    points = embeddings(load(Dataset.from_list(rows[::-1])), embedder, progress=False)
    assert sorted(embedder.asked) == ["p" * 7 + "\nc", "p" * 8 + "\nc"]
    lengths = np.array([i + 2 for i in range(8, 0, -1)])
    np.testing.assert_allclose(points[:, 0] / points[:, 1], lengths, rtol=1e-5)


def test_fields_are_embedded_each_on_its_own():
    pool = load(Dataset.from_list([{"prompt": "ppp", "completion": "c"}]))
    embedder = Letters()
    for field in ("text", "prompt", "response"):
        embeddings(pool, embedder, field=field, progress=False)
    assert embedder.asked == ["ppp\nc", "ppp", "c"]
