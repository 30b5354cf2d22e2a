import json
import re
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from doubles import Spelling

from tamis.errors import DataError, SettingError
from tamis.models.base import IncompleteError, TokenLogprobs
from tamis.selectors.ifd import IFD, brief_experience

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "ifd.json").read_text())


def pool_of(*pairs):
    prompts, responses = zip(*pairs, strict=True)
    return Dataset.from_dict({"prompt": prompts, "response": responses})


class Formula:
    """The golden files' language model: logits by a formula, tokens by a regular expression."""

    fingerprint = "formula"

    def __init__(self):
        self.ids = {token: i for i, token in enumerate(GOLDEN["tokenizer"]["vocab"])}

    def logprobs(self, prompts, continuations=None):
        if continuations is None:
            prompts, continuations = [""] * len(prompts), prompts
        return [self._scored(*pair) for pair in zip(prompts, continuations, strict=True)]

    def _scored(self, prompt, text):
        pieces = [*re.finditer(r"\n| ?\w+|[^\w]", prompt + text)]
        ids = np.array([self.ids.get(piece[0], 0) for piece in pieces])
        own = [i for i, piece in enumerate(pieces) if piece.end() > len(prompt)]
        logprobs = [self._logprob(ids[:i], ids[i]) if i else np.nan for i in own]
        spans = np.array([pieces[i].span() for i in own]).reshape(-1, 2) - len(prompt)
        return TokenLogprobs(text, np.maximum(spans, 0), ids[own], np.array(logprobs))

    def _logprob(self, before, token):
        a, b, c = (GOLDEN["lm"]["params"][name] for name in "ABC")
        h0, h1, h2 = [*before[:-4:-1], 0, 0][:3]
        v, s = np.arange(len(self.ids)), before.sum()
        logits = a * np.sin(0.7 * v + 1.3 * h0 + 0.9 * h1 + 0.4 * h2)
        logits += b * np.cos(0.31 * v * (1 + h0 % 5)) + c * np.sin(0.05 * v * (s % 13) + 0.2 * s)
        return logits[token] - np.log(np.exp(logits).sum())


# By the authors' codes


@pytest.mark.parametrize(
    ("form", "of", "names"),
    [
        ("perplexity", "superfiltering", ("loss_A_direct", "loss_A_condition", "ifd_ppl")),
        ("loss", "cherry", ("loss_direct", "loss_condition", "ifd_loss")),
    ],
)
def test_losses_and_ratios_are_those_of_the_released_codes(form, of, names):
    items = GOLDEN["items"]
    pool = Dataset.from_list(
        [{key: item[key] for key in ("instruction", "input", "output")} for item in items]
    )
    picked = IFD(lm=Formula(), form=form).select(pool, 1)
    expected = [[item["expected"][of][name] for item in items] for name in names]
    found = [picked.signals[name].to_pylist() for name in ("loss_alone", "loss_given_prompt")]
    for figures, golden in zip([*found, picked.scores], expected, strict=True):
        as_floats = np.array(golden, float)
        np.testing.assert_allclose(np.array(figures, float), as_floats, rtol=1e-6)


def test_a_brief_experience_is_cherry_s():
    golden = GOLDEN["cherry_pre_experience"]
    found = brief_experience(np.array(golden["labels"]), np.array(golden["ppl"]), golden["n"])
    assert found.tolist() == [row for rows in golden["expected"].values() for row in rows]


def test_of_a_small_cluster_all_of_the_middle_is_taken():
    # Of 1 to 5 the quarters are 2 and 4.
    cluster, perplexity = np.array([0, 0, 0, 0, 0, 7]), np.array([5.0, 1, 2, 3, 4, np.nan])
    assert brief_experience(cluster, perplexity, 10).tolist() == [2, 3, 4]


# By hand: a word of n letters costs n nats alone, n / 2 after a prompt


def test_the_score_is_the_ratio_of_both_losses():
    # Alone, 'aa' has no probability: (4 + 6) / 2 = 5 nats. After a prompt (2 + 4 + 6) / 6 = 2.
    pool = pool_of(("p", "aa bbbb cccccc"))
    picked = IFD(lm=Spelling()).select(pool, 1)
    assert picked.signals["loss_alone"].to_pylist() == [5]
    assert picked.signals["loss_given_prompt"].to_pylist() == [2]
    assert picked.signals["tokens"].to_pylist() == [3]
    assert picked.scores.tolist() == pytest.approx([np.exp(2 - 5)])
    # The header stands before both: (2 + 4 + 6) / 6 each.
    assert IFD(lm=Spelling(), form="loss").select(pool, 1).scores.tolist() == [1]


def test_rows_whose_prompt_is_no_help_are_left_out():
    class Choosy(Spelling):
        """Finds all likelier after a good prompt, and nothing after another."""

        fingerprint = "choosy"

        def _scored(self, prompt, text):
            return super()._scored(prompt if "good" in prompt else "", "x " + text)

    pool = pool_of(("good", "aa"), ("bad", "aa"), ("good advice", "bbb"))
    picked = IFD(lm=Choosy()).select(pool, 3)
    assert picked.scores[1] == 1
    assert sorted(picked.indices.tolist()) == [0, 2]
    assert picked.reasons[1] == "IFD 1: the prompt makes the response no likelier"


def test_at_exactly_one_cherry_keeps_what_superfiltering_drops():
    class Uniform(Spelling):
        fingerprint = "uniform"

        def _scored(self, prompt, text):
            return super()._scored("p", " ".join("aa" for _ in text.split()))

    pool = pool_of(("p", "some words"), ("q", "other words here"))
    assert len(IFD(lm=Uniform()).select(pool, 2)) == 0
    kept = IFD(lm=Uniform(), form="loss").select(pool, 2)
    assert kept.scores.tolist() == [1, 1]
    assert len(kept) == 2


def test_the_highest_come_first_and_more_begin_with_the_same():
    # Words of n letters: exp(n / 2 - n), the highest for short ones.
    pool = pool_of(*[("p", " ".join(["x" * n] * 3)) for n in (3, 1, 4, 2, 6, 5)])
    many = IFD(lm=Spelling()).select(pool, 5)
    assert many.indices.tolist() == [1, 3, 0, 2, 5]
    assert IFD(lm=Spelling()).select(pool, 2).indices.tolist() == [1, 3]
    assert many.reasons[4] == "IFD below that of the kept"


def test_without_k_a_tenth_is_kept():
    pool = pool_of(*[(f"p{n}", f"aa bb {n}") for n in range(39)])
    assert len(IFD(lm=Spelling()).select(pool)) == 3
    assert len(IFD(lm=Spelling(), share=0.5).select(pool)) == 19


# Rows without a score


def test_what_has_no_loss_is_named_and_not_kept():
    pool = pool_of(("p", "aa bb"), ("p", ""), ("p", " \n"), ("p", "word"))
    picked = IFD(lm=Spelling()).select(pool, 4)
    assert picked.indices.tolist() == [0]
    assert np.isnan(picked.scores[1:]).all()
    assert picked.reasons[1:].tolist() == [
        "no IFD: the text is empty",
        "no IFD: the text is empty",
        "no IFD: the text is too short: no token has a probability",
    ]


def test_what_a_server_refuses_is_named_and_stops_nothing():
    class Server(Spelling):
        def logprobs(self, prompts, continuations=None):
            answers = super().logprobs(prompts, continuations)
            texts = continuations or prompts
            lost = {i: "HTTP 400, too long" for i, text in enumerate(texts) if len(text) > 99}
            if lost:
                kept = [None if i in lost else said for i, said in enumerate(answers)]
                raise IncompleteError("some got no answer", kept, lost)
            return answers

    pool = pool_of(("p", "aa bb"), ("p", "long " * 50), ("p", "cc dd"))
    picked = IFD(lm=Server()).select(pool, 3)
    assert sorted(picked.indices.tolist()) == [0, 2]
    assert picked.reasons[1] == "no IFD: HTTP 400, too long"


def test_a_row_longer_than_the_context_is_named():
    pytest.importorskip("torch")
    pool = pool_of(("Count.", "one two three four"), ("Count.", "one two " * 1500))
    picked = IFD().select(pool, 2)
    assert np.isfinite(picked.scores[0])
    assert np.isnan(picked.scores[1])
    assert picked.reasons[1] == "no IFD: prompt and text are longer than the model's context"


def test_plain_text_is_refused():
    with pytest.raises(DataError, match="'text' is plain text, without prompt and response"):
        IFD(lm=Spelling()).select(Dataset.from_dict({"text": ["a b"]}), 1)


# Work


def test_another_k_costs_nothing():
    lm = Spelling()
    pool = pool_of(*[(f"p{n}", f"aa bb {n}") for n in range(9)])
    IFD(lm=lm).select(pool, 3)
    assert len(lm.asked) == 18
    IFD(lm=lm).select(pool.shuffle(seed=1), 5)
    assert len(lm.asked) == 18


def test_a_brief_experience_changes_the_model_and_nothing_else():
    pytest.importorskip("torch")
    pool = pool_of(
        *[(f"Say the word number {n}.", f"The word is {'x' * n} {n}") for n in range(12)]
    )
    settings = {"clusters": 2, "per_cluster": 2}
    plain = IFD().select(pool, 3)
    tuned = IFD(experience=True, **settings).select(pool, 3)
    again = IFD(experience=True, **settings).select(pool.shuffle(seed=2), 3)
    assert (tuned.scores != plain.scores).any()
    np.testing.assert_allclose(np.sort(again.scores), np.sort(tuned.scores), rtol=1e-5)


def test_a_model_that_cannot_be_trained_gets_no_experience():
    with pytest.raises(SettingError, match=r"experience=True, but .* cannot be trained; give"):
        IFD(lm=Spelling(), experience=True).select(pool_of(("p", "a b")), 1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"form": "ratio"}, "form='ratio'"),
        ({"share": 0}, "share=0; give"),
        ({"clusters": 0}, "clusters=0; give"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, says):
    with pytest.raises(SettingError, match=f"IFD: {says}"):
        IFD(**wrong)
