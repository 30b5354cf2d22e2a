import numpy as np
import pytest
from doubles import Spelling

from tamis.models.cached import CachedLM
from tamis.models.losses import lm_of, mean_losses


def test_a_loss_is_a_mean_over_tokens():
    found = mean_losses(CachedLM(Spelling(), progress=False), ["p", "p"], ["aa bbbb", "c"])
    assert found.means.tolist() == [1.5, 0.5]
    assert found.tokens.tolist() == [2, 1]
    assert found.why.tolist() == ["", ""]


def test_losses_are_those_of_the_model(tiny):
    prompts, texts = ["The sky is", "Boil"], [" blue, and the sea", " water."]
    found = mean_losses(CachedLM(tiny, progress=False), prompts, texts)
    own = [scored.mean for scored in tiny.logprobs(prompts, texts)]
    np.testing.assert_allclose(found.means, np.negative(own), rtol=1e-5)


def test_what_has_none_is_named_and_not_asked():
    lm = Spelling()
    found = mean_losses(CachedLM(lm, progress=False), ["aa bb", "", " \n", "word"])
    assert np.isnan(found.means).tolist() == [False, True, True, True]
    assert found.tokens.tolist() == [1, 0, 0, 0]
    assert found.why.tolist() == [
        "",
        "the text is empty",
        "the text is empty",
        "the text is too short: no token has a probability",
    ]
    assert [text for _, text in lm.asked] == ["aa bb", "word"]


def test_a_text_that_would_lose_its_prompt_has_none_but_alone_it_has(tiny):
    lm, long = CachedLM(tiny, progress=False), "The sky is blue. " * 300
    given = mean_losses(lm, ["Say:", "Say:"], [long, "blue"])
    assert np.isnan(given.means).tolist() == [True, False]
    assert given.why[0] == "prompt and text are longer than the model's context"
    alone = mean_losses(lm, [long])
    assert np.isfinite(alone.means).all()


def test_nothing_is_asked_of_nothing():
    assert mean_losses(CachedLM(Spelling(), progress=False), [], []).means.shape == (0,)


def test_a_model_is_loaded_once():
    pytest.importorskip("torch")
    assert lm_of("bundled") is lm_of("bundled")
    lm = Spelling()
    assert lm_of(lm) is lm
