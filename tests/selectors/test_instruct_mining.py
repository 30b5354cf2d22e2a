import numpy as np
import pytest
from datasets import Dataset
from doubles import Lengths, Letters, Numbers, Spelling

from tamis.errors import DataError, SettingError
from tamis.selectors.instruct_mining import InstructMining

V1 = {"reward": [2.0], "understandability": [0.9], "naturalness": [0.8], "coherence": [0.9]}


def mining(**settings):
    return InstructMining(
        **{"judge": Lengths(), "embedder": Numbers(), "lm": Spelling(), **settings}
    )


def rows(**columns):
    n = len(next(iter(columns.values())))
    return Dataset.from_dict({"prompt": ["p"] * n, "response": ["r"] * n, **columns})


def pair(*pairs):
    prompts, responses = zip(*pairs, strict=True)
    return Dataset.from_dict({"prompt": prompts, "response": responses})


def test_the_published_rules_give_the_published_figures():
    third = rows(reward=[2.0], length=[300], knn_6=[0.8])
    assert mining().select(third, 1).signals["log_loss"][0].as_py() == pytest.approx(
        0.04657, abs=5e-6
    )
    first = mining(rule="v1").select(rows(**V1), 1)
    assert first.scores.tolist() == pytest.approx([-0.01593], abs=5e-6)


def test_the_lowest_loss_is_the_best():
    pool = rows(reward=[2.0, 3, 1], length=[10] * 3, knn_6=[0.5] * 3)
    picked = mining().select(pool, 2)
    assert picked.indices.tolist() == [1, 0]
    assert picked.reasons[2] == "a higher loss foretold than for the kept"


def test_indicators_are_what_they_say():
    # Spelling: a response's loss is half the mean length of its words, given a prompt.
    pool = pair(("0", "aa bbbb!"), ("3", "a b c d e f g h i j"), ("7", "a b a b a b a b a b a b"))
    rule = {"length": 1, "reward": 1, "perplexity": 1, "mtld": 1, "knn_1": 1, "knn_2": 1}
    picked = mining(rule=rule, embedder=Prompted()).select(pool, 2)
    found = {name: picked.signals[name].to_pylist() for name in rule}
    assert found["length"] == [3, 10, 12]
    assert found["reward"] == [2, 5, 5]
    assert found["perplexity"] == pytest.approx(np.exp([3.5 / 2, 0.5, 0.5]), rel=1e-6)
    assert found["mtld"] == [None, 10, 3]
    assert found["knn_1"] == [3, 3, 4]
    assert found["knn_2"] == [7, 4, 7]
    assert picked.reasons[0] == "no mtld: fewer than ten words"
    assert picked.scores[1:] == pytest.approx(-sum(np.array(found[name][1:]) for name in rule))


class Prompted(Numbers):
    """Places an example at the number that is its prompt."""

    def _vector(self, text):
        return [float(text.split()[0])]


def test_with_few_rows_the_farthest_is_the_neighbour():
    pool = pair(("0", "a"), ("3", "b"), ("7", "c"))
    assert mining(embedder=Prompted()).select(pool, 1).signals["knn_6"].to_pylist() == [7, 4, 7]
    assert mining(embedder=Prompted()).select(pair(("0", "a")), 1).indices.tolist() == [0]


def test_a_judge_that_answers_nonsense_for_a_third_loses_only_that():
    pool = pair(*((f"{i}", "nonsense" if i % 3 == 0 else f"word {i}") for i in range(30)))
    picked = mining(embedder=Prompted()).select(pool, 30)
    assert len(picked) == 20
    assert set(picked.reasons[::3]) == {"no reward: 'bla bla'"}
    assert np.isnan(picked.scores[::3]).all()


def test_an_empty_response_has_no_length():
    picked = mining(rule={"length": 1.0}).select(pair(("p", ""), ("p", "a b")), 2)
    assert picked.indices.tolist() == [1]
    assert picked.reasons[0] == "no length: the response is empty"


@pytest.mark.parametrize(
    ("indicator", "pool", "reason"),
    [
        ("perplexity", pair(("p", ""), ("p", "a b")), "no perplexity: the text is empty"),
        ("knn_1", pair(("", ""), ("3", "a")), "no knn_1: no embedding"),
        ("votes", rows(votes=[np.nan, 7.0]), "no votes: the column has none"),
    ],
)
def test_a_row_without_an_indicator_is_told_why(indicator, pool, reason):
    picked = mining(rule={indicator: 1.0}, embedder=Blind()).select(pool, 2)
    assert picked.indices.tolist() == [1]
    assert picked.reasons[0] == reason


class Blind(Numbers):
    """Sees nothing in a text without words."""

    def _vector(self, text):
        return [float(len(text))] if text.strip() else []


def test_constant_embeddings_leave_the_other_indicators():
    class Constant(Letters):
        def embed(self, texts):
            return np.ones((len(texts), 4), np.float32)

    picked = mining(embedder=Constant()).select(pair(("p", "a"), ("p", "a b c")), 1)
    assert picked.indices.tolist() == [1]


def test_a_fitted_rule_foretells_the_losses_it_was_fitted_to():
    draw = np.random.default_rng(0)
    pools = [rows(reward=draw.normal(size=5).tolist(), length=[9] * 5) for _ in range(12)]
    means = np.array([np.mean(pool["reward"]) for pool in pools])
    fitted = mining().fit(pools, np.exp(1 - 0.5 * means), indicators=("reward", "length"))
    assert fitted.rule == pytest.approx({"constant": 1, "reward": -0.5})
    foretold = fitted.select(pools[0], 1).signals["log_loss"].to_numpy()
    assert foretold.mean() == pytest.approx(1 - 0.5 * means[0])
    assert repr(fitted).endswith(f"rule={fitted.rule!r})")
    assert mining().rule == "v3"


def test_all_its_own_indicators_can_be_fitted():
    draw = np.random.default_rng(1)
    pools = [
        pair(*((f"{i}", " ".join(draw.choice(list("abcdef"), size))) for i in range(4)))
        for size in range(11, 21)
    ]
    lengths = np.arange(11, 21)
    fitted = mining(embedder=Prompted()).fit(pools, np.exp(lengths / 10))
    assert fitted.rule["length"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("losses", "columns", "message"),
    [
        ([1.0, 2], {}, "3 pools and 2 losses for 1 indicators; give as many, 3 at least"),
        ([1.0, 2, 0], {}, "a loss is not above 0"),
        ([1.0, 2, 3], {"reward": [np.nan]}, "pool 2 has no reward for any row"),
        ([1.0, 1, 1], {}, "no indicator tells the losses apart"),
    ],
)
def test_what_cannot_be_fitted_is_refused(losses, columns, message):
    pools = [rows(reward=[1.0]), rows(reward=[2.0]), rows(**{"reward": [3.5], **columns})]
    with pytest.raises(DataError, match=message):
        mining().fit(pools, losses, indicators=("reward",))


def test_two_data_sets_do_not_make_a_line():
    pools = [rows(reward=[1.0]), rows(reward=[2.0])]
    with pytest.raises(DataError, match=r"2 pools and 2 losses .*, 3 at least"):
        mining().fit(pools, [1.0, 2.0], indicators=("reward",))


def test_a_rule_is_fitted_to_the_rows_that_have_the_indicator():
    pools = [rows(reward=[reward, np.nan]) for reward in (1.0, 2, 3, 4)]
    fitted = mining().fit(pools, np.exp([1.0, 2, 3, 4]), indicators=("reward",))
    assert fitted.rule == pytest.approx({"constant": 0, "reward": 1}, abs=1e-9)


def test_capitals_make_no_other_words():
    pool = pair(("0", "a B " * 6), ("1", "a b A B " * 3))
    assert mining(rule={"mtld": 1.0}).select(pool, 1).signals["mtld"].to_pylist() == [3, 3]


def test_the_model_reads_the_prompt_a_line_before_the_response():
    lm = Spelling()
    mining(rule={"perplexity": 1.0}, lm=lm).select(pair(("ask", "a b")), 1)
    assert lm.asked == [("ask\n", "a b")]


def test_an_unknown_indicator_is_named():
    with pytest.raises(SettingError, match="no indicator 'rewards'; did you mean 'reward'"):
        mining(rule={"rewards": 1.0}).select(pair(("p", "r")), 1)


def test_the_first_version_s_indicators_are_asked_for():
    with pytest.raises(SettingError, match=r"no indicator '(und|nat|coh)"):
        mining(rule="v1").select(pair(("p", "r")), 1)


def test_a_column_of_words_is_no_indicator():
    with pytest.raises(DataError, match=r"column 'reward' is .*string; an indicator is a number"):
        mining(rule={"reward": 1.0}).select(rows(reward=["high"]), 1)


@pytest.mark.parametrize(
    ("rule", "mend"), [("v2", "did you mean 'v"), ({"constant": 1.0}, "has no indicator")]
)
def test_a_rule_that_is_none_is_refused(rule, mend):
    with pytest.raises(SettingError, match=mend):
        mining(rule=rule)
