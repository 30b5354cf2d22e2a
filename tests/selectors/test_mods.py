from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset
from doubles import Letters, Numbers

import tamis
from tamis.data.ids import example_ids, id_texts
from tamis.errors import DataError, SettingError
from tamis.models.judges import Ratings
from tamis.selectors.mods import MoDS, _asked


class Examiner:
    """Rates '… q=3' with 3, nonsense with nothing, and an answer by what was asked.

    An answer is whatever has no grade in it: 0 to a prompt that is 'hard', 5 to one that is
    easy, and none to one that is 'odd'.
    """

    fingerprint = "examiner"

    def rate(self, prompts, responses):
        scores = [self._grade(*pair) for pair in zip(prompts, responses, strict=True)]
        return Ratings(np.array(scores), ["banana" if np.isnan(s) else "" for s in scores])

    def _grade(self, prompt, response):
        if "q=" in response:
            return float(response.split("q=")[1])
        return 0.0 if "hard" in prompt else np.nan if "odd" in prompt else 5.0


class First(Numbers):
    """Places a text at the number that it begins with."""

    def _vector(self, text):
        return [float(text.split()[0])]


def pool_of(*rows):
    """Rows of (prompt, quality)."""
    prompts, qualities = zip(*rows, strict=True)
    responses = [f"so it is q={quality}" for quality in qualities]
    return Dataset.from_dict({"prompt": prompts, "response": responses})


def mods(**settings):
    return MoDS(**{"judge": Examiner(), "embedder": First(), "lm": None, **settings})


def first_at(pool, row):
    """A seed whose draw begins k-center at this row."""
    return next(s for s in range(999) if mods(seed=s).select(pool, 1).indices.tolist() == [row])


LINE = pool_of(("0", 4), ("1", 4), ("4", 4), ("10", 4), ("11", 4))


def test_seeds_are_the_picks_of_k_center():
    # From 0 the farthest of 0, 1, 4, 10, 11 is 11, then 4; 1 and 10 are then 1 away.
    picked = mods(seed=first_at(LINE, 0)).select(LINE, 3)
    assert picked.indices.tolist() == [0, 4, 2]
    assert picked.signals["gap"].to_pylist() == [np.inf, 1, 4, 1, 11]
    assert picked.signals["stage"].to_pylist() == ["seed", None, "seed", None, "seed"]
    assert picked.signals["covered_by"][3].as_py() == id_texts(example_ids(LINE))[4].as_py()
    assert picked.reasons[3] == "covered by a kept example"
    assert set(picked.scores) == {4}


def test_both_limits_are_strict_and_the_score_is_the_quality():
    pool = pool_of(("0", 2.5), ("1", 2.6), ("4", 1), ("9", "nan"))
    picked = mods().select(pool, 4)
    assert picked.indices.tolist() == [1]
    assert picked.scores.tolist() == pytest.approx([2.5, 2.6, 1, np.nan], nan_ok=True)
    assert picked.reasons.tolist() == [
        "quality 2.5, not above 2.5", "kept", "quality 1, not above 2.5", "no quality: 'banana'",
    ]  # fmt: skip


def test_the_middle_is_the_judge_s_own():
    class Logits(Examiner):
        middle = 0.0

    pool = pool_of(("0", -1), ("1", 0), ("4", 0.1))
    assert mods(judge=Logits()).select(pool, 3).indices.tolist() == [2]
    assert mods(judge=Logits(), alpha=-2).select(pool, 3).indices.size == 3


def test_a_judge_that_answers_nonsense_for_a_third_loses_only_that():
    pool = pool_of(*((f"{i}", "nan" if i % 3 == 0 else 4) for i in range(30)))
    picked = mods().select(pool, 30)
    assert len(picked) == 20
    assert set(picked.reasons[::3]) == {"no quality: 'banana'"}
    assert np.isnan(picked.scores[::3]).all()


def test_nothing_good_is_nothing_kept():
    picked = mods(alpha=5).select(LINE, 2)
    assert len(picked) == 0
    assert set(picked.reasons) == {"quality 4, not above 5"}


def test_constant_embeddings_still_give_different_seeds():
    class Constant(Letters):
        def embed(self, texts):
            return np.ones((len(texts), 4), np.float32)

    assert len(set(mods(embedder=Constant()).select(LINE, 4).indices.tolist())) == 4


def test_the_reference_does_not_see_the_input():
    pool = Dataset.from_dict(
        {
            "instruction": ["red sun", "red sun", "blue moon"],
            "input": ["one", "two three", ""],
            "output": ["x q=4"] * 3,
        }
    )
    with_input = mods(embedder=Letters()).select(pool, 3)
    without = mods(embedder=Letters(), reference=True).select(pool, 3)
    assert (np.array(with_input.signals["gap"]) > 0).all()
    assert sorted(np.array(without.signals["gap"]))[0] == 0
    assert sorted(without.indices.tolist()) == [0, 1, 2]


def test_plain_text_cannot_be_rated():
    with pytest.raises(DataError, match="is plain text, without prompt and response"):
        mods().select(Dataset.from_dict({"text": ["1", "2"]}), 1)


def test_without_k_a_thousand_seeds_cover_the_pool():
    pool = pool_of(*((f"{i}", 4) for i in range(1100)))
    assert len(mods().select(pool)) == 1000
    assert len(mods(seeds=7).select(pool)) == 7


# Necessity: the copy is tuned on the seeds, and answers

HARD = pool_of(
    ("0 easy", 4), ("1 hard", 4), ("4 odd", 4), ("10 hard", 4), ("11 easy", 4), ("12 hard", 1),
    ("30 hard", 3), ("31 hard", 3),
)  # fmt: skip


@pytest.fixture(scope="module")
def lm():
    pytest.importorskip("torch", reason='pip install "tamis[models]"')
    return tamis.models.load("bundled", device="cpu")


def needing(lm, **settings):
    return mods(lm=lm, epochs=1, max_tokens=3, **settings)


def test_kept_besides_the_seeds_is_what_the_tuned_model_answers_badly(lm):
    seed = first_at(HARD, 0)
    picked = needing(lm, seeds=1, seed=seed).select(HARD)
    assert picked.indices[0] == 0
    assert sorted(picked.indices[1:].tolist()) == [1, 3, 6, 7]
    assert picked.signals["stage"].to_pylist() == [
        "seed", "necessary", None, "necessary", None, None, "necessary", "necessary",
    ]  # fmt: skip
    answers = [5, 0, np.nan, 0, 5, np.nan, 0, 0]
    assert picked.signals["answer_quality"].to_numpy() == pytest.approx(answers, nan_ok=True)
    assert picked.reasons[2] == "no rating of the tuned model's answer: 'banana'"
    assert picked.reasons[4] == "the tuned model's answer is rated 5, not below 2.5"
    assert picked.reasons[5] == "quality 1, not above 2.5"


def test_an_answer_at_the_limit_is_good_enough(lm):
    picked = needing(lm, seeds=1, beta=0, seed=first_at(HARD, 0)).select(HARD)
    assert picked.indices.tolist() == [0]
    assert picked.reasons[1] == "the tuned model's answer is rated 0, not below 0"


def test_of_the_necessary_k_center_takes_the_rest_of_k(lm):
    # Of 1, 10, 30 and 31, wherever it starts, the second pick is from the other end.
    picked = needing(lm, seeds=1, seed=first_at(HARD, 0)).select(HARD, 3)
    assert len(picked) == 3
    ends = set(picked.indices[1:].tolist())
    assert len(ends & {1, 3}) == 1
    assert len(ends & {6, 7}) == 1
    dropped = {1, 3, 6, 7} - ends
    assert {picked.reasons[row] for row in dropped} == {"covered by a kept example"}


def test_the_reference_takes_the_worst_answered(lm):
    class Worse(Examiner):
        def _grade(self, prompt, response):
            grade = super()._grade(prompt, response)
            return grade + float(prompt.split()[0]) / 100 if "q=" not in response else grade

    settings = {"seeds": 1, "seed": first_at(HARD, 0), "judge": Worse(), "reference": True}
    picked = needing(lm, **settings).select(HARD, 3)
    assert picked.indices.tolist() == [0, 1, 3]
    assert set(picked.reasons[[6, 7]]) == {"necessary, but there was no room left"}


def test_the_copy_is_tuned_on_the_seeds_as_asked_and_it_is_the_copy_that_answers(lm, monkeypatch):
    from tamis.models import tuning
    from tamis.models.transformers import TransformersLM

    told = {}
    real = tuning.tune

    def tune(lm, prompts, responses, **how):
        told.update(how, prompts=prompts, responses=responses)
        tuned = real(lm, prompts, responses, **how)
        tuned.name = "the copy"
        return tuned

    generate = TransformersLM.generate

    def said(self, prompts, **how):
        assert self.name == "the copy"
        told.setdefault("max_tokens", how["max_tokens"])
        return generate(self, prompts, **how)

    monkeypatch.setattr(tuning, "tune", tune)
    monkeypatch.setattr(TransformersLM, "generate", said)
    settings = {"epochs": 2, "learning_rate": 1e-4, "lora": 2, "max_tokens": 4}
    mods(lm=lm, seeds=1, seed=first_at(HARD, 0), **settings).select(HARD)
    assert [message["content"] for [message] in told.pop("prompts")] == ["0 easy"]
    assert told.pop("responses") == ["so it is q=4"]
    assert told == settings | {"seed": first_at(HARD, 0)}


def test_a_model_without_a_template_is_asked_a_line():
    class Plain:
        tokenizer = SimpleNamespace(chat_template=None)

    assert _asked(Plain(), ["Why?"]) == ["Why?\n"]


def test_without_k_the_worst_answered_come_first(lm):
    class Worse(Examiner):
        def _grade(self, prompt, response):
            grade = super()._grade(prompt, response)
            return grade - float(prompt.split()[0]) / 100 if "q=" not in response else grade

    picked = needing(lm, seeds=1, seed=first_at(HARD, 0), judge=Worse()).select(HARD)
    assert picked.indices.tolist() == [0, 7, 6, 3, 1]


def test_responses_do_not_matter_to_what_is_covered():
    class Counted(Numbers):
        def _vector(self, text):
            return [float(len(text))]

    pool = Dataset.from_dict(
        {"prompt": ["a", "aa", "aaaa"], "response": ["long " * 9 + "q=4", "q=4", "mid q=4"]}
    )
    gaps = mods(embedder=Counted()).select(pool, 3).signals["gap"].to_numpy()
    assert gaps[np.isfinite(gaps)].max() <= 3  # prompts of 1, 2 and 4 letters


def test_row_order_changes_nothing_in_the_reference():
    words = ["red sun", "blue moon", "green star", "grey sea", "white sky", "black stone"]
    pool = Dataset.from_dict(
        {"instruction": words, "input": [w[::-1] for w in words], "output": ["x q=4"] * 6}
    )
    order = [4, 1, 5, 0, 3, 2]
    for seed in range(5):
        chosen = mods(embedder=Letters(), reference=True, seed=seed)
        plain, turned = chosen.select(pool, 3), chosen.select(pool.select(order), 3)
        assert [order[i] for i in turned.indices] == plain.indices.tolist()


def test_a_quarter_of_k_are_seeds(lm):
    stages = needing(lm).select(HARD, 5).signals["stage"].to_pylist()
    assert stages.count("seed") == 1
    assert stages.count("necessary") == 4
    alone = needing(lm).select(HARD, 1)
    assert len(alone) == 1
    assert alone.signals["stage"].drop_null().to_pylist() == ["seed"]
    assert "necessary, but there was no room left" in alone.reasons


def test_a_prompt_that_is_longer_than_the_context_is_not_answered(lm):
    long = pool_of(("0 easy", 4), ("5 " + "hard " * 2000, 4), ("9 hard", 4))
    picked = needing(lm, seeds=1, seed=first_at(long, 0)).select(long)
    assert picked.indices.tolist() == [0, 2]
    assert picked.reasons[1] == (
        "no rating of the tuned model's answer: 'the prompt is too long for it'"
    )


def test_row_order_changes_nothing(lm):
    order = np.random.default_rng(0).permutation(len(HARD))
    plain = needing(lm, seed=3).select(HARD, 4)
    shuffled = needing(lm, seed=3).select(HARD.select(order), 4)
    assert order[shuffled.indices].tolist() == plain.indices.tolist()


def test_the_model_itself_is_left_as_it_was(lm):
    before = lm.fingerprint
    needing(lm).select(HARD, 4)
    assert lm.fingerprint == before


def test_a_model_that_cannot_be_tuned_is_refused():
    class Server:
        fingerprint = "server"

    with pytest.raises(SettingError, match="cannot be tuned; give a transformers: model, or lm="):
        mods(lm=Server()).select(LINE, 2)


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"epochs": 0}, {"lora": 0}, {"max_tokens": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=r"MoDS: \w+=0; give at least 1"):
        mods(**wrong)
