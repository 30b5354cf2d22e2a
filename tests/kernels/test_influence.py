import json
from pathlib import Path

import numpy as np
import pytest

from tamis.kernels.distances import unit
from tamis.kernels.influence import adam_directions, task_directions

PATH = Path(__file__).parent.parent / "golden" / "training_signals.json"
GOLDEN = json.loads(PATH.read_text("utf-8"))["less"]
FIRST, SECOND = (np.array(GOLDEN[name], np.float32) for name in ("exp_avg", "exp_avg_sq"))
MATCHING = GOLDEN["matching"]


@pytest.mark.parametrize("example", GOLDEN["examples"])
def test_the_direction_is_that_of_the_authors_code(example):
    gradient = np.array([example["expected"]["gradient"]], np.float32)
    found = adam_directions(gradient, FIRST, SECOND, steps=5, reference=True)[0]
    assert found == pytest.approx(example["expected"]["adam_feature_reference"], rel=1e-6)


def test_the_paper_s_direction_is_adam_s_next_step():
    # The update as torch.optim.Adam takes it, by its own formula, in float64.
    gradient = np.array([GOLDEN["examples"][0]["expected"]["gradient"]], np.float32)
    m = (0.9 * FIRST.astype(float) + 0.1 * gradient) / (1 - 0.9**6)
    v = (0.999 * SECOND.astype(float) + 0.001 * gradient.astype(float) ** 2) / (1 - 0.999**6)
    found = adam_directions(gradient, FIRST, SECOND, steps=5)
    np.testing.assert_allclose(found, m / (np.sqrt(v) + 1e-8), rtol=1e-5)


def test_without_moments_the_direction_is_the_sign_of_the_gradient():
    # Then the cosine of an example with itself is Σ|g| / (‖g‖ √p), and not 1.
    gradient = np.random.default_rng(0).normal(size=(1, 50)).astype(np.float32)
    nothing = np.zeros(50, np.float32)
    direction = adam_directions(gradient, nothing, nothing, steps=0)
    assert direction[0] == pytest.approx(np.sign(gradient[0]), rel=1e-4)
    cosine = float(unit(direction)[0] @ unit(gradient)[0])
    expected = np.abs(gradient).sum() / (np.linalg.norm(gradient) * np.sqrt(50))
    assert cosine == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("form", ["reference", "paper"])
def test_scores_are_the_published_ones(form):
    tasks = np.repeat(np.arange(MATCHING["n_subtasks"]), MATCHING["per_subtask"])
    rates = np.array(MATCHING["checkpoint_weights"])
    influence = sum(
        rate * unit(np.array(train)) @ task_directions(
            np.array(wanted), tasks, reference=form == "reference"
        ).T
        for rate, train, wanted in zip(
            rates / rates.sum(), MATCHING["train_features"], MATCHING["validation_gradients"],
            strict=True,
        )
    )  # fmt: skip
    expected = MATCHING["expected"][f"score_{form}"]
    assert influence.max(axis=1) == pytest.approx(expected, rel=1e-5)


def test_a_longer_target_gradient_weighs_more_in_the_paper_s_mean_alone():
    gradients, tasks = np.array([[10.0, 0], [0, 1]]), np.zeros(2, np.int64)
    assert task_directions(gradients, tasks)[0] == pytest.approx([0.995, 0.0995], abs=1e-3)
    assert task_directions(gradients, tasks, reference=True)[0] == pytest.approx([0.5, 0.5])


def test_gradients_that_cancel_out_point_nowhere():
    opposite = np.array([[1.0, 0], [-1, 0], [0, 2]])
    found = task_directions(opposite, np.array([0, 0, 1]))
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == [0, 1]
