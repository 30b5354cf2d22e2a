from itertools import pairwise

import numpy as np
import pytest
from datasets import Dataset
from doubles import Lengths

from tamis.errors import DataError, SettingError
from tamis.models import bundled
from tamis.models.base import Generation
from tamis.models.judges import LMJudge
from tamis.models.quality import QualityScorer
from tamis.models.static import StaticEmbedder
from tamis.pipelines.recipe import Recipe
from tamis.selectors.alpagasus import AlpaGasus


def pool_of(*responses):
    return Dataset.from_dict({"prompt": ["p"] * len(responses), "response": responses})


def test_keeps_what_is_rated_at_least_4_5():
    class Halves(Lengths):
        def rate(self, prompts, responses):
            found = super().rate(prompts, responses)
            return type(found)(found.scores / 2, found.words)

    words = ["a " * n for n in (5, 4, 1)]
    assert AlpaGasus(judge=Lengths()).select(pool_of(*words)).indices.tolist() == [0]
    at_its_border = AlpaGasus(judge=Halves(), least=2).select(pool_of(*words))
    assert sorted(at_its_border.indices.tolist()) == [0, 1]
    assert at_its_border.reasons[2] == "rating 0.5, below 2"


def test_the_rating_and_the_judge_s_words_are_signals():
    picked = AlpaGasus(judge=Lengths()).select(pool_of("a b", "a b c d e"))
    assert picked.signals["rating"].to_pylist() == picked.scores.tolist() == [2, 5]
    assert picked.signals["words"].to_pylist() == ["2 words", "5 words"]


def test_a_higher_bar_keeps_a_part_of_what_a_lower_one_keeps():
    pool = pool_of(*["a " * (n % 7) for n in range(40)])
    kept = [set(AlpaGasus(judge=Lengths(), least=least).select(pool).indices) for least in range(6)]
    assert all(higher < lower for lower, higher in pairwise(kept))


def test_k_keeps_the_best_of_those_that_pass():
    picked = AlpaGasus(judge=Lengths(), least=3).select(
        pool_of("a a a", "a", "a a a a a", "a a"), 1
    )
    assert picked.indices.tolist() == [2]
    assert picked.reasons.tolist() == [
        "rating 3, not among the best 1",
        "rating 1, below 3",
        "kept",
        "rating 2, below 3",
    ]


def test_a_judge_that_answers_nonsense_for_a_third_of_the_rows():
    pool = pool_of(*["a b c d e", "nonsense", "a b"] * 20)
    picked = AlpaGasus(judge=Lengths()).select(pool)
    assert picked.counts() == {
        "kept": 20,
        "no rating: 'bla bla'": 20,
        "rating 2, below 4.5": 20,
    }
    assert np.isnan(picked.scores[1::3]).all()


def test_a_judge_s_words_are_cut_and_escaped_in_a_reason():
    class Loud(Lengths):
        def rate(self, prompts, responses):
            found = super().rate(prompts, responses)
            return type(found)(
                np.full(len(prompts), np.nan), ["\x1b[31m\nhey " * 100] * len(prompts)
            )

    (reason,) = AlpaGasus(judge=Loud()).select(pool_of("a")).reasons
    assert reason.startswith(r"no rating: '\x1b[31m hey ")
    assert reason.endswith("'…")
    assert len(reason) < 200


def test_an_answer_is_rated_once_whatever_the_bar():
    class Model:
        fingerprint = "always four"
        asked = 0

        def logprobs(self, prompts, continuations=None):
            raise NotImplementedError

        def generate(self, prompts, **how):
            self.asked += len(prompts)
            return [Generation(("4\nFine.",), ("stop",)) for _ in prompts]

    lm = Model()
    pool = pool_of("a", "b", "c")
    assert len(AlpaGasus(judge=LMJudge(lm)).select(pool)) == 0
    assert len(AlpaGasus(judge=LMJudge(lm), least=4).select(pool)) == 3
    assert len(AlpaGasus(judge=LMJudge(lm), least=4).select(pool.shuffle(seed=1), 2)) == 2
    assert lm.asked == 3


def test_an_empty_answer_has_no_rating():
    picked = AlpaGasus().select(pool_of("", "Sift the flour twice, then add the sugar."))
    assert picked.reasons[0] == "no rating"
    assert 0 <= picked.scores[1] <= 5


def test_plain_text_is_refused():
    with pytest.raises(DataError, match="'text' is plain text, without prompt and response"):
        AlpaGasus(judge=Lengths()).select(Dataset.from_dict({"text": ["a b"]}))


def test_without_a_bar_the_best_are_kept_whatever_the_judge_s_scale():
    class Logits(Lengths):
        def rate(self, prompts, responses):
            found = super().rate(prompts, responses)
            return type(found)(found.scores - 9, [""] * len(prompts))

    pool = pool_of("a", "a b c", "a b", "nonsense")
    picked = AlpaGasus(judge=Logits(), least=None).select(pool, 2)
    assert picked.indices.tolist() == [1, 2]
    assert picked.reasons[[0, 3]].tolist() == ["rating -8, not among the best 2", "no rating"]


def test_a_bar_that_is_no_number_is_refused():
    with pytest.raises(SettingError, match="AlpaGasus: least is no number; give one"):
        AlpaGasus(least=float("nan"))


def test_a_recipe_lends_its_judge():
    text = "name: a\nmodels: {judge: 'reward:some/model'}\nsteps:\n  - alpagasus\n"
    lent, own = Recipe.parse(text + "  - alpagasus: {judge: bundled}\n", "recipe").selectors()
    assert (lent.judge, own.judge) == ("reward:some/model", "bundled")


def test_a_recipe_s_bundled_judge_is_the_quality_scorer():
    pool = pool_of("Sift the flour twice.", "x")
    (step,) = Recipe.parse("name: a\nsteps: [alpagasus: {least: 0}]\n", "recipe").selectors()
    scorer = QualityScorer(str(bundled("quality")), StaticEmbedder(str(bundled("embedder"))))
    expected = scorer.score(pool["prompt"][:], pool["response"][:])
    np.testing.assert_array_equal(step.select(pool).scores, expected)
