import inspect

import numpy as np
import pytest

from tamis.errors import MissingExtraError
from tamis.models import EMBEDDERS, JUDGES, LANGUAGE_MODELS
from tamis.models.base import Embedder, LanguageModel, TokenLogprobs
from tamis.models.judges import Judge

BACKENDS = [(LanguageModel, home) for home in sorted({*LANGUAGE_MODELS.values()})]
BACKENDS += [(Embedder, home) for home in sorted({*EMBEDDERS.values()})]
BACKENDS += [(Judge, home) for home in sorted({*JUDGES.values(), "tamis.models.judges:LMJudge"})]


@pytest.mark.parametrize(("protocol", "home"), BACKENDS, ids=lambda value: str(value)[-30:])
def test_every_backend_is_what_it_says(protocol, home):
    module, _, name = home.partition(":")
    backend = getattr(pytest.importorskip(module, exc_type=MissingExtraError), name)
    assert hasattr(backend, "fingerprint")
    for method in {"logprobs", "generate", "embed", "rate"} & set(vars(protocol)):
        wanted = inspect.signature(getattr(protocol, method)).parameters.values()
        offered = inspect.signature(getattr(backend, method)).parameters.values()
        assert [(p.name, p.kind, p.default) for p in offered] == [
            (p.name, p.kind, p.default) for p in wanted
        ]


def test_means_and_sums_leave_out_what_has_no_probability():
    ids = np.arange(3)
    scored = TokenLogprobs("abc", np.stack([ids, ids + 1], 1), ids, np.float32([np.nan, -1, -2]))
    assert scored.tokens == ["a", "b", "c"]
    assert (scored.count, scored.sum, scored.mean) == (2, -3.0, -1.5)


@pytest.mark.parametrize("logprobs", [[], [np.nan]])
def test_where_nothing_has_a_probability_there_is_no_mean(logprobs):
    ids = np.arange(len(logprobs))
    scored = TokenLogprobs("a", np.stack([ids, ids + 1], 1), ids, np.float32(logprobs))
    assert np.isnan([scored.sum, scored.mean]).all()
