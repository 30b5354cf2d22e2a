import numpy as np
import pytest

from tamis.kernels.regression import significant


def drawn(n=200, p=4, noise=0.1, seed=0):
    draw = np.random.default_rng(seed)
    table = draw.normal(size=(n, p)) * [1, 100, 0.01, 1] + [0, 5, 1, -3]
    truth = np.array([2.0, -0.03, 400.0, 0.0])
    return table, 1.5 + table @ truth + noise * draw.normal(size=n), truth


def test_recovers_the_rule_that_made_the_values():
    table, values, truth = drawn()
    rule = significant(table, values)
    assert rule.columns.tolist() == [0, 1, 2]
    assert rule.coefficients == pytest.approx(truth[:3], rel=0.02)
    assert rule.constant == pytest.approx(1.5, abs=0.1 + 3 * rule.errors[2])
    assert rule.determination > 0.99


def test_is_numpy_s_least_squares():
    table, values, _ = drawn(n=20, noise=5)
    rule = significant(table, values, least=0)
    design = np.column_stack([np.ones(20), table])
    expected = np.linalg.lstsq(design, values, rcond=None)[0]
    assert [rule.constant, *rule.coefficients] == pytest.approx(expected)


def test_errors_are_the_textbook_s():
    table, values, _ = drawn(n=20, noise=5)
    rule = significant(table, values, least=0)
    design = np.column_stack([np.ones(20), table])
    rest = values - design @ [rule.constant, *rule.coefficients]
    spread = np.linalg.inv(design.T @ design) * (rest @ rest) / (20 - 5)
    assert rule.errors == pytest.approx(np.sqrt(np.diag(spread))[1:])
    assert rule.determination == pytest.approx(1 - rest.var() / values.var())


def test_errors_foretell_how_far_off_coefficients_are():
    apart = []
    for seed in range(200):
        table, values, truth = drawn(n=30, noise=5, seed=seed)
        rule = significant(table, values, least=0)
        apart.append((rule.coefficients - truth) / rule.errors)
    assert np.std(apart) == pytest.approx(1, abs=0.1)


def test_constant_and_repeated_columns_are_left_out():
    table, values, truth = drawn()
    wide = np.column_stack([np.full(200, 7.0), table[:, :2], table[:, 0] * 3 - 1, table[:, 2]])
    rule = significant(wide, values)
    assert rule.columns.tolist() == [1, 2, 4]
    assert rule.coefficients == pytest.approx(truth[:3], rel=0.02)


def test_noise_has_no_rule():
    draw = np.random.default_rng(1)
    rule = significant(draw.normal(size=(50, 3)), draw.normal(size=50), least=4)
    assert rule.columns.tolist() == []
    assert rule.determination == pytest.approx(0)


def test_a_perfect_rule_has_no_error():
    x = np.arange(6.0)
    rule = significant(x[:, None], 2 * x + 1)
    assert rule.coefficients == pytest.approx([2])
    assert rule.determination == pytest.approx(1)
