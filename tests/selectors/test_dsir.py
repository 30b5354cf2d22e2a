import json
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from datasets import Dataset

from tamis.data.ids import example_ids
from tamis.errors import DataError, SettingError
from tamis.kernels.draws import gumbels
from tamis.selectors import dsir
from tamis.selectors.dsir import DSIR

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "dsir.json").read_text("utf-8"))
SMALL = GOLDEN["small_scale"]


def pool_of(*texts):
    return Dataset.from_dict({"text": list(texts)})


def golden_dsir(**settings):
    target = pool_of(*GOLDEN["target"])
    return DSIR(target=target, buckets=1000, hash="sha256", min_tokens=20, **settings)


def small_dsir(**settings):
    return DSIR(
        target=pool_of(*SMALL["target"]), ngrams=1, buckets=64, hash="sha256", smoothing=1,
        **settings,
    )  # fmt: skip


def test_numbers_are_those_of_the_authors_package():
    pool, expected = pool_of(*GOLDEN["raw"]), GOLDEN["expected"]
    fitted = golden_dsir().fit(pool)
    assert fitted.score(pool) == pytest.approx(expected["log_weight"], rel=1e-6)
    log_ratios = fitted.log_ratios_[""][:20]
    assert log_ratios == pytest.approx(expected["log_diff_first20"], rel=1e-6)
    signals = fitted.select(pool, 6).signals
    assert signals["n_tokens"].to_pylist() == expected["token_count"]
    assert signals["log_weight"].to_pylist() == pytest.approx(expected["log_weight"], rel=1e-6)


def test_smoothed_numbers_are_those_of_the_authors_package():
    pool = pool_of(*SMALL["raw"])
    scores = small_dsir().fit(pool).score(pool)
    assert scores == pytest.approx(SMALL["expected"]["log_weight"], rel=1e-6)


@pytest.mark.parametrize("temperature", [0, 1])
def test_picks_are_those_of_the_authors_package(temperature, monkeypatch):
    expected = GOLDEN["expected"]
    noise = np.array(expected["gumbel_noise_for_eligible_in_order"])
    monkeypatch.setattr(dsir, "gumbels", lambda ids, seed, new: noise)
    picked = golden_dsir(temperature=temperature).select(pool_of(*GOLDEN["raw"]), 6)
    name = "picks_gumbel_sorted_by_index" if temperature else "picks_top_k_sorted_by_index"
    assert sorted(picked.indices.tolist()) == expected[name]


@pytest.mark.parametrize("run", SMALL["expected"]["gumbel_runs"])
def test_picks_where_noise_decides_are_those_of_the_authors_package(run, monkeypatch):
    monkeypatch.setattr(dsir, "gumbels", lambda ids, seed, new: np.array(run["gumbel"]))
    picked = small_dsir().select(pool_of(*SMALL["raw"]), 5)
    assert sorted(picked.indices.tolist()) == run["expected_sorted"]


def test_is_drawn_first_as_often_as_its_weight_says():
    # Gumbel-max: the first drawn is i with probability softmax(log w)_i. 300 draws by seed;
    # a share is then off by at most 4 standard deviations.
    pool, often = pool_of(*SMALL["raw"]), np.array(SMALL["expected"]["softmax"])
    firsts = [small_dsir(seed=seed).select(pool, 1).indices[0] for seed in range(300)]
    shares = np.bincount(firsts, minlength=len(pool)) / len(firsts)
    assert (np.abs(shares - often) < 4 * np.sqrt(often * (1 - often) / len(firsts))).all()


def test_a_pool_that_is_its_own_target_has_no_preference():
    pool = pool_of("to be or not to be", "that is the question", "whether 'tis nobler")
    scores = DSIR(target=pool).fit(pool).score(pool)
    assert scores == pytest.approx([0, 0, 0], abs=1e-12)


def test_copies_of_the_target_change_no_score():
    pool, target = pool_of("a b c", "c d e f"), ["a b", "d e"]
    once, often = (
        DSIR(target=pool_of(*rows)).fit(pool).score(pool) for rows in (target, target * 7)
    )
    assert once == pytest.approx(often, rel=1e-12)


def test_all_that_can_be_drawn_are_drawn_whatever_the_seed():
    pool = pool_of("a b", "b c", "", "c a")
    for seed in range(5):
        picked = DSIR(target=pool_of("a a b"), seed=seed).select(pool, 4)
        assert sorted(picked.indices.tolist()) == [0, 1, 3]


def test_a_score_worked_out_by_hand():
    # Pool: a 2/4, b 1/4, c 1/4 (one word, so no bigrams count: ngrams=1). Target: a 3/4, b 1/4.
    # log w("a b") = log(3/4 ÷ 2/4) + log(1/4 ÷ 1/4) = log 1.5, but for the 1e-8.
    pool = pool_of("a b", "a c")
    fitted = DSIR(target=pool_of("a a a b"), ngrams=1, buckets=10_000).fit(pool)
    scores = fitted.score({"text": ["a b", "a", "a c", "a B"]})
    log_c = np.log(1e-8) - np.log(0.25 + 1e-8)
    log_a = np.log(1.5)
    assert scores == pytest.approx([log_a, log_a, log_a + log_c, log_a], rel=1e-6)


def test_length_normalised_scores_are_means_over_ngrams():
    pool = pool_of(*GOLDEN["raw"])
    n_tokens = np.array(GOLDEN["expected"]["token_count"])
    scores = golden_dsir(length_normalise=True).fit(pool).score(pool)
    means = np.array(GOLDEN["expected"]["log_weight"]) / (2 * n_tokens - 1)
    assert scores == pytest.approx(means, rel=1e-6)


def test_says_why_a_row_is_out():
    pool = pool_of("red moon", "red", "red sun sea", "blue sun sea", "")
    picked = DSIR(target=pool_of("red sun"), min_tokens=2, temperature=0).select(pool, 1)
    assert picked.reasons[1] == "too short: 1 token, fewer than 2"
    assert picked.reasons[4] == "too short: 0 tokens, fewer than 2"
    assert np.isnan(picked.scores[[1, 4]]).all()
    [kept] = picked.indices
    assert picked.reasons[kept] == "kept"
    lowest = f"{picked.scores[kept]:.6g}"
    assert set(picked.reasons[[0, 2, 3]]) == {
        "kept",
        f"not drawn: log-weight not above {lowest}, the lowest kept",
    }


def test_the_draw_is_the_score_plus_noise_of_the_id():
    pool = pool_of(*SMALL["raw"])
    picked = small_dsir(temperature=0.5, seed=3).select(pool, 5)
    draws = picked.signals["draw"].to_numpy()
    assert draws == pytest.approx(picked.scores + 0.5 * gumbels(example_ids(pool), 3))
    assert picked.indices.tolist() == np.argsort(-draws)[:5].tolist()


class TestSeveralTargets:
    pool = pool_of(*(f"red r{i}" for i in range(6)), *(f"blue b{i}" for i in range(6)))
    target = MappingProxyType({"reds": [{"text": "red"}] * 3, "blues": [{"text": "blue"}]})

    def colours(self, k, **settings):
        picked = DSIR(target=self.target, temperature=0, **settings).select(self.pool, k)
        assert len(set(picked.indices.tolist())) == k
        return [self.pool[int(i)]["text"].split()[0] for i in picked.indices]

    def test_get_shares_by_their_ngrams_and_the_last_one_the_rest(self):
        # 3 parts of 4 of 5 are 3.75, rounded down.
        assert self.colours(5) == ["red"] * 3 + ["blue"] * 2

    def test_get_the_shares_that_are_given(self):
        assert self.colours(6, shares={"reds": 1, "blues": 2}) == ["red"] * 2 + ["blue"] * 4

    def test_take_nothing_twice(self):
        target = {"reds": [{"text": "red"}], "again": [{"text": "red"}]}
        picked = DSIR(target=target, temperature=0).select(self.pool, 6)
        assert sorted(picked.indices.tolist()) == [0, 1, 2, 3, 4, 5]
        assert picked.reasons[11] == "not drawn for any target"

    def test_score_by_the_nearest_one(self):
        picked = DSIR(target=self.target).select(self.pool, 1)
        both = [picked.signals[f"log_weight_{name}"].to_numpy() for name in self.target]
        assert picked.scores.tolist() == np.maximum(*both).tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ngrams": 0}, "ngrams=0; give at least 1"),
        ({"buckets": 2**28 + 1}, "buckets=268435457; give at most"),
        ({"temperature": float("nan")}, "temperature=nan; give at least 0"),
        ({"min_tokens": 0}, "min_tokens=0; give at least 1"),
        ({"smoothing": -1}, "smoothing=-1; give at least 0"),
        ({"hash": "sha265"}, "hash='sha265'; did you mean 'sha256'?"),
        ({"target": {}}, "target names none; give one at least"),
        ({"shares": {"a": 1}}, "shares of a, but the targets are ''"),
        ({"target": {"a": []}, "shares": {"a": 0}}, "give none below 0, and one above"),
    ],
)
def test_refuses_settings_that_mean_nothing(settings, message):
    with pytest.raises(SettingError, match="DSIR: ") as refused:
        DSIR(**({"target": pool_of("a")} | settings))
    assert message in str(refused.value)


def test_refuses_a_target_without_words():
    with pytest.raises(DataError, match="DSIR: target has no words; give one that has some"):
        DSIR(target=pool_of("", " ")).fit(pool_of("a"))
    with pytest.raises(DataError, match="DSIR: target blues has no words"):
        DSIR(target={"reds": pool_of("a"), "blues": pool_of("")}).fit(pool_of("a"))


def test_reads_prompt_and_response_of_instructions():
    pool = Dataset.from_dict({"instruction": ["Add.", "Sum"], "output": ["1 2", "3"]})
    fitted = DSIR(target=pool_of("add 1")).fit(pool)
    texts = {"text": ["Add.\n1 2", "Sum\n3"]}
    assert fitted.score(pool).tolist() == fitted.score(texts).tolist()
