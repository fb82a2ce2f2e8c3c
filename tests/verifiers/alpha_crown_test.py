"""Optimised slopes: sound, never below CROWN's bounds, and tighter."""

import types

import numpy as np
import pytest
import tensorflow as tf

from tests.verifiers.conftest import (
    CLASSES,
    NETWORKS,
    chain,
    little_rounding,
    randomize,
)
from tfrobust import attacks, threats
from tfrobust.backend import keras
from tfrobust.bounds import curves
from tfrobust.bounds.activation import Activation
from tfrobust.verifiers.alpha_crown import AlphaCROWN
from tfrobust.verifiers.crown import CROWN
from tfrobust.verifiers.default_alpha import default_alpha

pytestmark = pytest.mark.one_keras  # See `ops_test.py`.

LINF = threats.Linf(0.1)
BATCH = 4


def margins(logits, y):
    return tf.gather(logits, y, axis=1, batch_dims=1)[:, tf.newaxis] - logits


def drawn(network, rng, count=BATCH):
    randomize(network, rng)
    x = rng.uniform(-0.2, 1.2, (count, *network.input_shape[1:])).clip(0, 1)
    return x.astype(np.float32), rng.integers(0, CLASSES, count)


def compared(network, threat, intermediate, steps=5):
    """A function of (x, y, epsilon): CROWN, AlphaCROWN, smallest seen."""

    @tf.function(autograph=False)
    def compare(x, y, epsilon):
        over = threat.replace(epsilon=epsilon)
        attack = attacks.PGD(over, steps=5, step_size=0.5, loss="margin")
        random = tf.map_fn(
            lambda seed: over.sample(x, seed),
            tf.range(3),
            fn_output_signature=tf.float32,
        )
        points = [attack.perturb(network, x, y), *tf.unstack(random)]
        seen = [margins(network(p, training=False), y) for p in points]
        alpha = AlphaCROWN(over, steps, intermediate=intermediate)
        verifiers = CROWN(over), alpha
        found = [v.margins(network, x, y) for v in verifiers]
        return *found, tf.reduce_min(seen, axis=0)

    return compare


@pytest.mark.parametrize(
    ("name", "threat", "intermediate"),
    [
        ("dense", threats.L2(0.4), True),
        ("convolution", LINF, True),
        ("residual", LINF, False),
        ("leaky relu", threats.L1(0.8), False),
        ("minimum", LINF, True),
        ("sigmoid", LINF, False),
    ],
)
def test_bounds_lie_between_those_of_crown_and_every_point(
    name, threat, intermediate
):
    rng = np.random.default_rng(4)
    network = NETWORKS[name]()
    compare = compared(network, threat, intermediate)
    gains = []
    for _ in range(4):
        x, y = drawn(network, rng)
        crown, alpha, seen = compare(x, y, tf.constant(threat.epsilon))
        size = 1 + np.max(np.abs(seen))
        assert np.all(alpha >= crown - 1e-6 * size)
        assert np.all(alpha <= seen + 2e-6 * size)
        gains.append(np.max(alpha - crown))
    assert max(gains) > 1e-4
    with little_rounding():
        # Once, which takes a tenth of what compiling it again does.
        still = AlphaCROWN(threat.replace(epsilon=0.0), steps=5)
        alpha = still.margins(network, x, y)
    clean = margins(network(x, training=False), y)
    np.testing.assert_allclose(alpha, clean, atol=5e-5 * size)


def test_a_slope_that_makes_the_bound_exact_is_found():
    # logits: relu(2x - 1), and 0.3 (2x - 1) as what remains of both ReLUs.
    # The margin's minimum is 0, at x = 0.5; CROWN's slope 0 gives -0.3.
    head = keras.layers.Dense(2)
    inputs = keras.Input((1,))
    hidden = keras.layers.Dense(3, activation="relu")
    network = keras.Model(inputs, head(hidden(inputs)))
    hidden.set_weights([np.array([[2.0, 1.0, 0.0]]), np.array([-1.0, 0, 1])])
    head.set_weights(
        [np.array([[1.0, 0.0], [0.0, 0.6], [0.0, -0.3]]), np.zeros(2)]
    )
    x, y = np.array([[0.5]], np.float32), np.array([0])
    threat = threats.Linf(0.5)
    crown = CROWN(threat).margins(network, x, y)
    alpha = AlphaCROWN(threat).margins(network, x, y)
    np.testing.assert_allclose(crown, [[0, -0.3]], atol=2e-5)
    np.testing.assert_allclose(alpha, [[0, 0]], atol=0.02)


@pytest.fixture(scope="module")
def mlp():
    layers = [keras.layers.Dense(10, activation="relu") for _ in range(3)]
    network = chain((5,), *layers)
    x, y = drawn(network, np.random.default_rng(1), 8)
    return network, x, y


@pytest.fixture(scope="module")
def found(mlp):
    """The margins as a function of (x, y), compiled for all batch sizes."""
    signature = [tf.TensorSpec([None, 5]), tf.TensorSpec([None], tf.int64)]
    return tf.function(
        lambda x, y: AlphaCROWN(LINF).margins(mlp[0], x, y),
        signature,
        autograph=False,
    )


def test_more_steps_are_tighter(mlp):
    network, x, y = mlp
    threat = threats.Linf(0.3)
    means = [np.mean(CROWN(threat).margins(network, x, y))]
    for steps in (1, 20):
        verifier = AlphaCROWN(threat, steps)
        means.append(np.mean(verifier.margins(network, x, y)))
    assert means[1] > means[0] + 0.01
    assert means[2] > means[1] + 0.02


def test_margins_depend_neither_on_batch_size_nor_on_order(mlp, found):
    _, x, y = mlp
    together, backward = found(x, y), found(x[::-1], y[::-1])
    np.testing.assert_allclose(backward[::-1], together, atol=1e-4)
    np.testing.assert_allclose(found(x[2:3], y[2:3])[0], together[2], atol=1e-4)


def test_the_entry_of_the_label_is_zero(mlp, found):
    _, x, y = mlp
    np.testing.assert_array_equal(found(x, y).numpy()[np.arange(8), y], 0)


@pytest.mark.builds_keras
def test_gradients_of_the_bounds_reach_the_weights_in_a_graph(mlp):
    network, x, y = mlp

    @tf.function(autograph=False)
    def gradients(x, y):
        with tf.GradientTape() as tape:
            found = tf.reduce_sum(AlphaCROWN(LINF, 3).margins(network, x, y))
        return found, tape.gradient(found, network.trainable_variables)

    before, slopes = gradients(x, y)
    for slope in slopes:
        assert np.max(np.abs(slope)) > 1e-6
    norm = float(tf.linalg.global_norm(slopes))
    old = [np.array(v) for v in network.trainable_variables]
    step = 1e-3 / norm
    for variable, slope in zip(
        network.trainable_variables, slopes, strict=True
    ):
        variable.assign_add(step * slope)
    after, _ = gradients(x, y)
    for variable, value in zip(network.trainable_variables, old, strict=True):
        variable.assign(value)
    assert float(after - before) == pytest.approx(1e-3 * norm, rel=0.1)


@pytest.mark.parametrize("rule", [curves.sigmoid, curves.softplus])
def test_the_ascent_along_a_curve_starts_from_its_default_lines(rule):
    ends = tf.constant([[-10.0, -2.0, -0.5]]), tf.constant([[1.0, 3.0, 6.0]])
    how = Activation(rule, optimizable=True, curved=True)
    node = types.SimpleNamespace(rule=how)

    def lines(node, alpha=None):
        given = ends if alpha is None else (end[:, tf.newaxis] for end in ends)
        return rule(node, *given, alpha)

    drifts = types.SimpleNamespace(lines=lines)
    given = rule(node, *ends)
    for sign, part in ((1.0, "lower_slope"), (-1.0, "upper_slope")):
        alpha = default_alpha(node, drifts, tf.fill([1, 1, 3], sign))
        found = getattr(rule(node, *ends, alpha[:, 0]), part)
        np.testing.assert_allclose(found, getattr(given, part), atol=2e-3)


def test_a_network_without_a_choice_gets_crowns_bounds():
    network = NETWORKS["sign"]()
    x, y = drawn(network, np.random.default_rng(2))
    expected = CROWN(LINF).margins(network, x, y)
    found = AlphaCROWN(LINF).margins(network, x, y)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "arguments", [{"steps": 0}, {"learning_rate": 0.0}], ids=str
)
def test_an_argument_out_of_range_is_refused(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received: "):
        AlphaCROWN(LINF, **arguments)
