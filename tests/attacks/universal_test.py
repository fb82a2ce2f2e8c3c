"""One perturbation for every input: `Universal`."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks import Universal
from tfrobust.threats import L1, L2, Linf

RNG = np.random.default_rng(3)
X = RNG.uniform(0.3, 0.7, (40, 5)).astype(np.float32)
W = np.array([0.5, -1.0, 2.0, -0.25, 0.75], np.float32)
LIMIT = float(np.max(X @ W)) + 0.01
Y = np.zeros(len(X), np.int64)


def model(x, training=False):
    """Class 1 where `x @ W` exceeds what it is of every input."""
    lead = tf.linalg.matvec(x, W) - LIMIT
    return tf.stack([-lead, lead], axis=1)


def curved(x, training=False):
    """A model whose gradient depends on the input."""
    return model(x) + 0.5 * tf.sin(9 * x[:, :2])


# The steepest direction of each norm, of length 1.
DIRECTIONS = {
    Linf: np.sign(W),
    L2: W / np.linalg.norm(W),
    L1: np.array([0, 0, 1, 0, 0], np.float32),
}


@pytest.mark.parametrize("norm", list(DIRECTIONS))
def test_gradient_steps_find_the_direction_of_a_linear_model(norm):
    threat = norm(0.2)
    found = Universal.learn(model, X, Y, threat, epochs=30, verbose=0)
    expected = np.float32(0.2) * DIRECTIONS[norm]
    np.testing.assert_allclose(found.perturbation, expected, atol=2e-3)
    fooled = np.argmax(model(X + expected), axis=1) != Y
    points = found.perturb(model, X, Y).numpy()
    assert 0 < np.mean(fooled) < 1
    wrong = np.argmax(model(points), axis=1) != Y
    assert abs(np.mean(wrong) - np.mean(fooled)) < 0.03


def test_deepfool_adds_up_what_each_input_needs():
    threat = L2(2.0, -9.0, 9.0)
    found = Universal.learn(
        model, X, Y, threat, method="deepfool", epochs=2, verbose=0
    )
    length = np.linalg.norm(found.perturbation)
    unit = found.perturbation / length
    np.testing.assert_allclose(unit, DIRECTIONS[L2], atol=1e-4)
    # The farthest input decides, and each move overshoots by a fiftieth.
    needed = np.max(LIMIT - X @ W) / np.linalg.norm(W)
    assert needed < length < 1.03 * needed
    assert np.all(np.argmax(model(X + found.perturbation), axis=1) == 1)
    small = Universal.learn(
        model, X, Y, L2(0.1), method="deepfool", epochs=1, verbose=0
    )
    assert np.linalg.norm(small.perturbation) <= 0.1 * (1 + 1e-5)


def test_seeds_key_the_order_and_enough_is_enough():
    options = {"batch_size": 8, "verbose": 0, "step_size": 0.3}
    runs = [
        Universal.learn(curved, X, Y, L2(0.1), epochs=1, seed=seed, **options)
        for seed in (0, 0, 1)
    ]
    one, again, other = (run.perturbation for run in runs)
    np.testing.assert_array_equal(one, again)
    assert np.any(one != other)
    stopped = Universal.learn(
        curved, X, Y, L2(0.1), epochs=9, enough=0.0, **options
    )
    np.testing.assert_array_equal(stopped.perturbation, one)


def test_a_perturbation_is_projected_to_the_threat_and_its_range():
    attack = Universal(Linf(0.1), np.full(5, 0.5))
    x = np.full((2, 5), 0.95, np.float32)
    points = attack.perturb(model, x, Y[:2]).numpy()
    np.testing.assert_array_equal(points, np.ones_like(x))
    points = attack.perturb(model, X, Y).numpy()
    np.testing.assert_allclose(points - X, 0.1, atol=1e-6)


def test_a_progress_bar_is_shown_or_not(capsys):
    Universal.learn(model, X, Y, L2(0.1), epochs=1, verbose=0)
    assert not capsys.readouterr().out
    Universal.learn(model, X, Y, L2(0.1), epochs=1)
    assert "1/1" in capsys.readouterr().out


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="`perturbation` must be finite"):
        Universal(L2(0.1), [np.nan])
    with pytest.raises(TypeError, match="`threat` must be a Threat"):
        Universal(0.1, [0.0])
    with pytest.raises(ValueError, match="the shape of one input"):
        Universal(L2(0.1), np.zeros(3)).perturb(model, X, Y)
    each = L2(np.full(40, 0.1))
    with pytest.raises(ValueError, match="have one epsilon for all examples"):
        Universal.learn(model, X, Y, each)
    for name, value in {
        "method": "fgsm",
        "epochs": 0,
        "batch_size": 0,
        "step_size": -1,
        "enough": 2,
    }.items():
        with pytest.raises(ValueError, match=f"`{name}` must"):
            Universal.learn(model, X, Y, L2(0.1), **{name: value})
