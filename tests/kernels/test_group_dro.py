import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tamis.kernels.group_dro import excess_losses, reweighted

PATH = Path(__file__).parent.parent / "golden" / "training_signals.json"
GOLDEN = json.loads(PATH.read_text("utf-8"))["doremi"]

RAW = arrays(np.float64, st.integers(1, 6), elements=st.floats(0.01, 5))


def tokens(step):
    """The tokens that count, and their domains."""
    mask = np.array(step["mask"], bool)
    domains = np.broadcast_to(np.array(step["domain"])[:, None], mask.shape)
    return np.array(step["excess"])[mask], domains[mask]


def test_steps_are_those_of_the_authors_code():
    weights = np.array(GOLDEN["alpha0"])
    excess = np.full(GOLDEN["k"], GOLDEN["initial_scores"])
    for step in GOLDEN["steps"]:
        losses, domains = tokens(step)
        excess = excess_losses(losses, np.zeros_like(losses), domains, excess)
        weights = reweighted(weights, excess, rate=GOLDEN["eta"], smoothing=GOLDEN["smoothing"])
        assert excess == pytest.approx(step["expected"]["lam"], rel=1e-5)
        assert weights == pytest.approx(step["expected"]["alpha"], rel=1e-5)


def test_the_worked_example():
    losses = np.array([0.4, -0.2, 0.6, 0.1, 0.1, 0.1, -0.5, -0.1, -0.3])
    domains = np.repeat(np.arange(3), 3)
    excess = excess_losses(losses, np.zeros(9), domains, np.zeros(3))
    assert excess == pytest.approx([1 / 3, 0.1, 0])
    weights = reweighted(np.array([0.5, 0.3, 0.2]), excess, rate=1, smoothing=1e-3)
    assert weights == pytest.approx([0.567384, 0.269758, 0.162857], abs=1e-6)


def test_each_token_is_clipped_before_the_mean():
    # Clipping the mean instead gives 0.2667.
    losses = np.array([0.4, -0.2, 0.6])
    excess = excess_losses(losses, np.zeros(3), np.zeros(3, np.int64), np.zeros(1))
    assert excess == pytest.approx([1 / 3])


def test_a_domain_that_is_not_in_the_batch_keeps_its_excess():
    found = excess_losses(np.ones(1), np.zeros(1), np.array([1]), np.array([0.7, 0.7]))
    assert found.tolist() == [0.7, 1]


@given(RAW, st.data())
def test_weights_stay_on_the_simplex_and_off_its_edges(raw, data):
    excess = data.draw(arrays(np.float64, len(raw), elements=st.floats(0, 1000)))
    found = reweighted(raw / raw.sum(), excess, rate=1, smoothing=1e-3)
    assert found.sum() == pytest.approx(1)
    assert (found >= 1e-3 / len(raw) * (1 - 1e-9)).all()


@given(RAW, st.data())
def test_weights_go_with_their_domains(raw, data):
    excess = data.draw(arrays(np.float64, len(raw), elements=st.floats(0, 10)))
    order = np.array(data.draw(st.permutations(range(len(raw)))))
    weights = raw / raw.sum()
    straight = reweighted(weights, excess, rate=1, smoothing=1e-3)
    assert reweighted(weights[order], excess[order], rate=1, smoothing=1e-3) == pytest.approx(
        straight[order]
    )


@given(RAW, st.floats(0, 10))
def test_equal_excess_only_smooths(raw, excess):
    weights = raw / raw.sum()
    found = reweighted(weights, np.full(len(raw), excess), rate=1, smoothing=0.1)
    assert found == pytest.approx(0.9 * weights + 0.1 / len(raw))


def test_a_domain_without_excess_decays():
    weights = np.array([0.5, 0.5])
    for _ in range(50):
        weights = reweighted(weights, np.array([0.0, 0.2]), rate=1, smoothing=1e-3)
    assert weights[0] == pytest.approx(0.0028, abs=5e-4)
