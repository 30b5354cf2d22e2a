import numpy as np
import pytest

from tamis.kernels.intervals import gain, t_quantile


# Two-sided 95 % and 99 % points, from the table in any textbook.
@pytest.mark.parametrize(
    ("p", "freedom", "expected"),
    [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 5, 2.571), (0.995, 3, 5.841),
     (0.995, 30, 2.750), (0.975, 120, 1.980), (0.975, 1e12, 1.960)],
)  # fmt: skip
def test_the_quantiles_of_student_s_t(p, freedom, expected):
    assert t_quantile(p, freedom) == pytest.approx(expected, rel=1e-3)


def table(draw, models, examples, *, between, noise, shift=0.0):
    """Losses of models on examples: examples differ much, models little."""
    hard = np.linspace(1, 5, examples)
    model = draw.normal(0, between, (models, 1))
    return hard + shift + model + draw.normal(0, noise, (models, examples))


def test_the_gain_is_the_difference_of_the_losses_of_all_tokens():
    # Two examples of 1 and 3 tokens: (2 + 6) / 4 against (1 + 3) / 4.
    found = gain(
        np.array([[1.0, 3.0]]), np.array([[2.0, 6.0]] * 2), np.array([1.0, 3.0]), np.zeros(1, int)
    )
    assert found.mean == 1.0


def test_how_hard_an_example_is_does_not_widen_the_interval():
    draw = np.random.default_rng(0)
    easy = table(draw, 6, 50, between=0.01, noise=0.01)
    hard = easy + np.random.default_rng(1).normal(0, 100, 50)
    narrow = gain(easy[:3], easy[3:], np.ones(50), np.arange(3))
    same = gain(hard[:3], hard[3:], np.ones(50), np.arange(3))
    assert same.half_width == pytest.approx(narrow.half_width, rel=1e-6)


def test_with_many_models_and_no_noise_it_is_welch_s_interval():
    ours, theirs = np.array([0.98, 1.0, 1.02]), np.array([1.07, 1.1, 1.12, 1.11])
    same = np.ones((1, 400))
    found = gain(ours[:, None] * same, theirs[:, None] * same, np.ones(400), np.arange(3))
    assert found.mean == pytest.approx(0.1)
    error = np.sqrt(ours.var(ddof=1) / 3 + theirs.var(ddof=1) / 4)
    parts = [(ours.var(ddof=1) / 3, 2), (theirs.var(ddof=1) / 4, 3)]
    freedom = error**4 / sum(part**2 / df for part, df in parts)
    assert found.half_width == pytest.approx(t_quantile(0.975, freedom) * error, rel=1e-3)


def test_one_pick_trained_thrice_is_one_pick():
    draw = np.random.default_rng(3)
    ours, theirs = (table(draw, n, 40, between=0.01, noise=0.001) for n in (3, 6))
    several = gain(ours, theirs, np.ones(40), np.arange(3))
    once = gain(ours, theirs, np.ones(40), np.zeros(3, int))
    alone = gain(ours.mean(axis=0, keepdims=True), theirs, np.ones(40), np.zeros(1, int))
    assert once == alone
    assert once.half_width != several.half_width


def test_one_draw_against_one_pick_has_no_interval():
    found = gain(np.ones((1, 9)), 2 * np.ones((1, 9)), np.ones(9), np.zeros(1, int))
    assert found.mean == 1
    assert np.isnan(found.half_width)
    assert not found.clear


def test_one_held_out_example_has_no_interval():
    draw = np.random.default_rng(0)
    ours, theirs = draw.normal(size=(3, 1)), draw.normal(size=(3, 1))
    assert np.isnan(gain(ours, theirs, np.ones(1), np.arange(3)).half_width)


@pytest.mark.parametrize("fixed", [False, True])
def test_without_a_difference_few_intervals_are_clear_of_zero(fixed):
    # A method that always picks the same rows is as lucky as one draw: its luck must count.
    draw = np.random.default_rng(5)
    better = 0
    for _ in range(400):
        ours, theirs = (table(draw, n, 60, between=0.02, noise=0.05) for n in (3, 6))
        if fixed:
            ours = np.repeat(ours[:1], 3, axis=0) + draw.normal(0, 0.002, (3, 1))
        found = gain(ours, theirs, np.ones(60), np.zeros(3, int) if fixed else np.arange(3))
        better += found.clear and found.mean > 0
    assert better <= 0.05 * 400


def test_a_difference_is_seen_when_it_is_there():
    draw = np.random.default_rng(6)
    found = [
        gain(
            table(draw, 3, 60, between=0.01, noise=0.05, shift=-0.1),
            table(draw, 6, 60, between=0.01, noise=0.05),
            np.ones(60),
            np.arange(3),
        )
        for _ in range(50)
    ]
    assert sum(one.clear and one.mean > 0 for one in found) >= 48
    assert sum(abs(one.mean - 0.1) <= one.half_width for one in found) >= 46


def test_the_interval_is_the_same_each_time():
    draw = np.random.default_rng(7)
    ours, theirs = (table(draw, n, 30, between=0.01, noise=0.05) for n in (3, 6))
    assert gain(ours, theirs, np.ones(30), np.arange(3)) == gain(
        ours, theirs, np.ones(30), np.arange(3)
    )
