import numpy as np
import pytest
from datasets import Dataset
from doubles import Spelling

from tamis.errors import DataError, SettingError
from tamis.selectors.perplexity import Perplexity


def pool_of(*lengths):
    """A pool whose responses have a loss of n / 2 nats: three words of n letters."""
    texts = [" ".join(["x" * n] * 3) for n in lengths]
    return Dataset.from_dict({"prompt": ["p"] * len(texts), "response": texts})


def test_the_middle_half_is_kept_from_its_middle_outwards():
    # Ranks of eight are 1/16, 3/16, … 15/16; the quarters lie after the 2nd and after the 6th:
    # three quarters of the way from exp(1) to exp(1.5), and a quarter of that from exp(3).
    sizes = (8, 1, 5, 3, 7, 2, 4, 6)
    picked = Perplexity(lm=Spelling()).select(pool_of(*sizes))
    assert picked.signals["rank"].to_pylist() == [(2 * n - 1) / 16 for n in sizes]
    assert {picked.indices[i] for i in (0, 1)} == {2, 6}
    assert {picked.indices[i] for i in (2, 3)} == {3, 7}
    assert len(picked) == 4
    assert (-16 * picked.scores).tolist() == [7, 7, 1, 3, 5, 5, 1, 3]
    assert picked.reasons[1] == "perplexity 1.649, below the band's 4.041"
    assert picked.reasons[0] == "perplexity 54.6, above the band's 23.34"


def test_perplexity_is_the_exponential_of_the_mean_loss():
    picked = Perplexity(lm=Spelling()).select(pool_of(2, 4), 1)
    assert picked.signals["perplexity"].to_pylist() == pytest.approx([np.e, np.e**2])
    assert picked.signals["tokens"].to_pylist() == [3, 3]


def test_k_narrows_the_band_about_its_middle():
    pool = pool_of(*range(1, 10))
    many = Perplexity(lm=Spelling()).select(pool, 5).indices.tolist()
    assert Perplexity(lm=Spelling()).select(pool, 1).indices.tolist() == [4] == many[:1]
    few = Perplexity(lm=Spelling()).select(pool, 3)
    assert few.indices.tolist() == many[:3]
    assert few.reasons[many[4]] == "farther from the middle of the band than the kept"


def test_limits_above_1_are_perplexities():
    picked = Perplexity(lm=Spelling(), low=np.exp(0.9), high=np.exp(2.1)).select(
        pool_of(*range(1, 9))
    )
    assert sorted(picked.indices.tolist()) == [1, 2, 3]


def test_a_share_and_a_perplexity_go_together():
    picked = Perplexity(lm=Spelling(), low=0, high=np.exp(2.1)).select(pool_of(*range(1, 9)))
    assert sorted(picked.indices.tolist()) == [0, 1, 2, 3]


def test_equal_perplexities_share_a_rank():
    picked = Perplexity(lm=Spelling()).select(pool_of(1, 3, 3, 9), 2)
    assert picked.signals["rank"].to_pylist() == [1 / 8, 1 / 2, 1 / 2, 7 / 8]
    assert sorted(picked.indices.tolist()) == [1, 2]


def test_the_response_is_scored_given_its_prompt_or_the_whole_alone():
    pool = Dataset.from_dict({"prompt": ["p", ""], "response": ["aa bb", "aa bb"]})
    lm = Spelling()
    Perplexity(lm=lm).select(pool, 1)
    assert sorted(lm.asked) == [("", "aa bb"), ("p\n", "aa bb")]
    lm.asked.clear()
    Perplexity(lm=lm, part="text").select(pool, 1)
    assert lm.asked == [("", "p\naa bb"), ("", "aa bb")]


def test_plain_text_is_scored_whole():
    lm = Spelling()
    Perplexity(lm=lm).select(Dataset.from_dict({"text": ["aa bb"]}), 1)
    assert lm.asked == [("", "aa bb")]


def test_a_row_without_perplexity_is_named():
    picked = Perplexity(lm=Spelling()).select(Dataset.from_dict({"text": ["aa bb", "", "word"]}), 3)
    assert picked.indices.tolist() == [0]
    assert picked.reasons[1] == "no perplexity: the text is empty"
    assert picked.reasons[2] == "no perplexity: the text is too short: no token has a probability"
    assert np.isnan(picked.scores[1:]).all()


def test_a_pool_without_any_is_refused():
    with pytest.raises(DataError, match="none of 2 rows has a perplexity; give some"):
        Perplexity(lm=Spelling()).select(Dataset.from_dict({"text": ["", " "]}), 1)


def test_another_band_costs_nothing():
    lm = Spelling()
    Perplexity(lm=lm).select(pool_of(*range(1, 9)), 2)
    assert len(lm.asked) == 8
    Perplexity(lm=lm, low=0.5, high=1).select(pool_of(*range(1, 9)), 3)
    assert len(lm.asked) == 8


@pytest.mark.parametrize(
    "wrong",
    [{"low": 0.8}, {"low": -1}, {"high": 0}, {"low": 9, "high": 3}, {"low": float("nan")}],
)
def test_a_band_that_is_none_is_refused(wrong):
    with pytest.raises(SettingError, match=r"Perplexity: low=.*; give shares from 0 to 1"):
        Perplexity(**wrong)


def test_a_part_that_does_not_exist_is_named():
    with pytest.raises(SettingError, match="part='texts'; did you mean 'text'"):
        Perplexity(part="texts")
