import numpy as np
from doubles import Spelling

from tamis.data.files import home
from tamis.models.base import Generation
from tamis.models.cached import CachedLM
from tamis.models.server import Prices
from tamis.models.tally import tallied


class Server(Spelling):
    """A model behind a server: it has an account."""

    usage = None

    def __init__(self, prices=None):
        super().__init__()
        self.prices = prices

    def generate(self, prompts, **how):
        self.asked += prompts
        return [Generation(("words",), ("stop",)) for _ in prompts]


def test_a_model_of_this_machine_is_asked_and_counted():
    lm = Spelling()
    with tallied() as tally:
        losses = CachedLM(lm, progress=False).losses(["count the words"], ["one two"])
    assert (tally.read, tally.written, tally.money, tally.unasked) == (5, 0, 0.0, False)
    assert np.isfinite(losses).all()


def test_a_server_is_counted_and_not_asked():
    lm = Server(Prices(1e6, 2e6))  # a token read costs 1, one written 2
    cached = CachedLM(lm, progress=False)
    with tallied() as tally:
        (answer,) = cached.generate([[{"role": "user", "content": "one two"}]], max_tokens=7, n=2)
        losses = cached.losses(["one", "two"])
        (scored,) = cached.logprobs(["one"])
    assert not lm.asked
    assert answer == Generation(("", ""), ("not asked", "not asked"))
    assert np.isnan(losses[:, 0]).all()
    assert scored.count == 0
    assert (tally.read, tally.written, tally.unasked) == (5, 14, True)
    assert tally.money == 5 + 2 * 14
    assert not [*home().rglob("part-*")]


def test_a_bill_without_prices_is_not_known():
    with tallied() as tally:
        CachedLM(Server(), progress=False).losses(["one"])
    assert tally.money is None


def test_outside_a_plan_all_are_asked():
    lm = Server()
    with tallied():
        pass
    assert CachedLM(lm, progress=False).generate(["p"])[0].text == "words"
