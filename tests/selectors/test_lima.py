from collections import Counter

import numpy as np
import pytest
from datasets import Dataset

from tamis.errors import DataError, SettingError
from tamis.selectors.lima import LIMA

GOOD = "Sift the flour twice and fold it in. " * 40  # 1,480 characters


def pool_of(*answers, **columns):
    return Dataset.from_dict({"prompt": ["p"] * len(answers), "response": answers, **columns})


def many(**counts):
    """A pool of good answers, all different, so many from each source."""
    sources = [name for name, count in counts.items() for _ in range(count)]
    return pool_of(*[f"{GOOD}{n}" for n in range(len(sources))], source=sources)


def shares(pool, picked):
    return dict(Counter(pool[int(i)]["source"] for i in picked.indices))


# Rules


@pytest.mark.parametrize(
    ("answer", "rule", "reason"),
    [
        (GOOD[:1199], "min_characters", "answer of 1,199 characters, fewer than 1,200"),
        (GOOD * 3, "max_characters", "answer of 4,440 characters, more than 4,096"),
        (GOOD + "Then I wait.", "first_person", "answer in the first person"),
        (GOOD + "Use my sieve.", "first_person", "answer in the first person"),
        (GOOD + "As mentioned, wait.", "refers", "answer refers to other answers"),
        (GOOD + "Ask on Stack Exchange.", "refers", "answer refers to other answers"),
        (GOOD + "See https://a.example.", "markup", "answer holds links, images or HTML"),
        (GOOD + "![sieve](sieve.png)", "markup", "answer holds links, images or HTML"),
        (GOOD + "<b>Wait</b>.", "markup", "answer holds links, images or HTML"),
    ],
)
def test_each_rule_fails_what_it_should(answer, rule, reason):
    picked = LIMA(strict=True).select(pool_of(answer, GOOD), 2)
    assert picked.indices.tolist() == [1]
    assert picked.reasons[0] == reason
    assert picked.signals["failed"].to_pylist() == [rule, ""]
    off = False if isinstance(getattr(LIMA(), rule), bool) else None
    assert len(LIMA(strict=True, **{rule: off}).select(pool_of(answer, GOOD), 2)) == 2


@pytest.mark.parametrize(
    "passage",
    [
        "Inside, mythology is mine.",
        "```html\ncode\n```",
        "<code>x = 1</code>",
        "<li>one</li>",
        "a[1] (b)",
    ],
)
def test_no_rule_fails_what_it_should_not(passage):
    assert LIMA().select(pool_of(GOOD + passage), 1).scores.tolist() == [1]


def test_the_score_is_the_share_of_the_rules_that_pass():
    picked = LIMA().select(pool_of(GOOD, GOOD + "I wait.", "I wait. https://a.example"), 1)
    assert picked.scores.tolist() == pytest.approx([1, 4 / 5, 2 / 5])


def test_an_answer_that_fails_a_rule_comes_last_but_k_is_met():
    pool = pool_of("I wait. https://a.example", GOOD, GOOD + "I wait.")
    assert LIMA().select(pool, 3).indices.tolist() == [1, 2, 0]
    picked = LIMA().select(pool, 1)
    assert picked.reasons[2] == "over quota of the pool: 1 kept; answer in the first person"


def test_plain_text_is_its_own_answer():
    pool = Dataset.from_dict({"text": [GOOD, "I wait."]})
    assert LIMA().select(pool, 2).scores.tolist() == pytest.approx([1, 3 / 5])


# Sources


def test_a_temperature_of_3_lets_small_sources_be_seen():
    # 1000 ** (1/3) is 10: of eleven the large source gets ten, the small one one (0.9091, 0.0909).
    pool = many(large=1000, small=1)
    assert shares(pool, LIMA().select(pool, 11)) == {"large": 10, "small": 1}
    assert shares(pool, LIMA(temperature=1).select(pool, 11)) == {"large": 11}


def test_quotas_are_met_exactly():
    pool = many(a=30, b=30, c=30)
    picked = LIMA(quotas={"a": 7, "b": 2}).select(pool)
    assert shares(pool, picked) == {"a": 7, "b": 2}
    assert set(picked.reasons[60:]) == {"no quota for c"}
    assert set(picked.reasons[:30]) == {"kept", "over quota of a: 7 kept"}


def test_a_source_that_has_too_few_leaves_its_quota_open():
    pool = many(a=3, b=30)
    assert shares(pool, LIMA(quotas={"a": 7, "b": 2}).select(pool)) == {"a": 3, "b": 2}


def test_quotas_may_be_shares_of_k():
    pool = many(a=30, b=30, c=30)
    picked = LIMA(quotas={"a": 0.5, "b": 0.3, "c": 0.2}).select(pool, 20)
    assert shares(pool, picked) == {"a": 10, "b": 6, "c": 4}


def test_more_examples_begin_with_the_same_ones():
    pool = many(a=40, b=13, c=5)
    most = LIMA().select(pool, 58).indices.tolist()
    for k in (1, 7, 8, 30):
        assert LIMA().select(pool, k).indices.tolist() == most[:k]


def test_votes_rank_within_a_source():
    pool = pool_of(*[f"{GOOD}{n}" for n in range(4)], score=[11, 40, 3, None])
    picked = LIMA(votes="score", strict=True).select(pool, 4)
    assert picked.indices.tolist() == [1, 0]
    assert picked.reasons[2:].tolist() == ["3 votes, fewer than 10", "no votes"]
    assert picked.signals["place"].to_pylist() == [2, 1, 3, 4]


def test_a_seed_draws_among_equals():
    pool = many(a=50)
    draws = {tuple(sorted(LIMA(seed=seed).select(pool, 5).indices)) for seed in range(10)}
    assert len(draws) > 5
    assert (
        LIMA(seed=3).select(pool, 5).indices.tolist()
        == LIMA(seed=3).select(pool, 5).indices.tolist()
    )


def test_without_k_a_thousand_are_kept():
    assert len(LIMA().select(many(a=1100))) == 1000
    assert len(LIMA().select(many(a=11))) == 11


def test_a_column_can_say_the_source():
    pool = pool_of(GOOD, GOOD + "!", kind=["x", "y"])
    assert LIMA(source="kind").select(pool, 2).signals["source"].to_pylist() == ["x", "y"]


# Mistakes


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="LIMA: no column 'scores'; did you mean 'score'"):
        LIMA(votes="scores").select(pool_of(GOOD, score=[1]), 1)


def test_votes_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="votes='score' is string; give a column of numbers"):
        LIMA(votes="score").select(pool_of(GOOD, score=["many"]), 1)


@pytest.mark.parametrize("quotas", [{}, {"a": 0}, {"a": 3, "b": 0.5}, {"a": -1, "b": 5}])
def test_quotas_that_say_nothing_are_refused(quotas):
    with pytest.raises(SettingError, match="give numbers of rows"):
        LIMA(quotas=quotas)


def test_a_temperature_of_none_is_refused():
    with pytest.raises(SettingError, match="temperature=0; give one above 0"):
        LIMA(temperature=0)


def test_rows_that_name_no_source_are_one_source():
    picked = LIMA().select(pool_of(GOOD, GOOD + "!", GOOD + "?", source=["", None, "a"]), 2)
    assert set(picked.signals["source"].to_pylist()) == {"", "a"}
    assert "over quota of rows that name no source: 1 kept" in picked.reasons


def test_a_source_of_one_row_is_a_source():
    pool = many(a=20, lonely=1)
    assert np.count_nonzero(LIMA().select(pool, 4).indices == 20) == 1


@pytest.mark.parametrize("settings", [{}, {"strict": True}, {"votes": "votes", "min_votes": 2}])
def test_a_pool_that_is_gone_through_in_pieces_gives_the_same(settings, monkeypatch):
    answers = [f"{GOOD[: 1100 + 10 * n]} I {n}" if n % 3 else f"{GOOD}{n % 5}" for n in range(60)]
    pool = pool_of(
        *answers,
        source=[("b", "a", "c")[n % 7 % 3] for n in range(60)],
        votes=[float(n % 4) for n in range(60)],
    )
    whole = LIMA(**settings).select(pool, 20, progress=False)
    monkeypatch.setattr("tamis.kernels.ordering._ROWS", 7)
    monkeypatch.setattr("tamis.data.scratch._SMALL", 0)
    pieces = LIMA(**settings).select(pool, 20, progress=False)
    assert pieces.indices.tolist() == whole.indices.tolist()
    assert pieces.reasons.tolist() == whole.reasons.tolist()
    assert pieces.signals.equals(whole.signals)
    assert len(set(whole.reasons)) > 5
