"""Lipschitz bounds: closed forms, soundness, and what is refused."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tests.verifiers.conftest import NETWORKS, layers, randomize
from tfrobust.backend import keras
from tfrobust.objectives.glo_ro import pair_constants
from tfrobust.verifiers import lipschitz_bounds, segments

pytestmark = pytest.mark.one_keras

BOUNDLESS = {"low": -100.0, "high": 100.0}


def chain(shape, *steps):
    return keras.Sequential([keras.Input(shape), *steps])


def drawn(network, seed=0, count=4):
    rng = np.random.default_rng(seed)
    randomize(network, rng)
    x = rng.uniform(0.1, 0.9, (count, *network.input_shape[1:]))
    return x.astype(np.float32), np.argmax(network(x), axis=1)


def differences(logits, y):
    logits = np.asarray(logits, np.float64)
    return logits[np.arange(len(y)), y][:, np.newaxis] - logits


def test_of_a_linear_network_the_bound_is_what_l2_allows():
    network = chain((3, 4, 1), layers.Flatten(), layers.Dense(5))
    x, y = drawn(network)
    verifier = tfr.verifiers.Lipschitz(tfr.threats.L2(0.2, **BOUNDLESS))
    kernel = network.get_weights()[0].astype(np.float64).T
    lengths = np.linalg.norm(kernel[y][:, np.newaxis] - kernel, axis=2)
    expected = differences(network(x), y) - 0.2 * lengths
    np.testing.assert_allclose(
        verifier.margins(network, x, y), expected, rtol=1e-4
    )


def test_layers_between_activations_are_one_matrix():
    network = chain(
        (6, 6, 2),
        layers.Conv2D(4, 3, strides=2, padding="same"),
        layers.AveragePooling2D(2, strides=1),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(5),
        layers.Dense(3),
    )
    x, y = drawn(network)
    first = keras.Sequential([keras.Input((6, 6, 2)), *network.layers[:2]])
    zero = np.asarray(first(np.zeros((1, 6, 6, 2))), np.float64)
    eye = np.eye(72).reshape(72, 6, 6, 2).astype(np.float32)
    matrix = (np.asarray(first(eye), np.float64) - zero).reshape(72, -1)
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    weights = [w.astype(np.float64) for w in network.get_weights()]
    rows = (weights[2] @ weights[4]).T
    lengths = np.linalg.norm(rows[y][:, np.newaxis] - rows, axis=2)
    expected = differences(network(x), y) - 0.1 * largest * lengths
    verifier = tfr.verifiers.Lipschitz(tfr.threats.L2(0.1, **BOUNDLESS))
    found = verifier.margins(network, x, y)
    assert np.all(found <= expected + 1e-5)
    np.testing.assert_allclose(found, expected, rtol=5e-4)


def sorting():
    return chain(
        (5,),
        layers.Dense(8),
        tfr.layers.MinMax(),
        layers.Dense(6),
        tfr.layers.MinMax(),
        layers.Dense(3),
    )


def test_sorted_pairs_lengthen_nothing():
    network = sorting()
    x, y = drawn(network)
    first, second, last = (
        w.astype(np.float64) for w in network.get_weights()[::2]
    )
    product = np.linalg.norm(first, 2) * np.linalg.norm(second, 2)
    rows = last.T
    lengths = np.linalg.norm(rows[y][:, np.newaxis] - rows, axis=2)
    verifier = tfr.verifiers.Lipschitz(tfr.threats.L2(0.01, **BOUNDLESS))
    found = verifier.traced(network, x, y, lambda b, forms: b.constant(forms))
    np.testing.assert_allclose(found, product * lengths, rtol=1e-5)
    margins = verifier.margins(network, x, y)
    expected = differences(network(x), y) - 0.01 * product * lengths
    assert np.all(margins <= expected + 1e-5)
    np.testing.assert_allclose(margins, expected, rtol=2e-3)
    constants = pair_constants(network, x, iterations=50)
    expected = product * np.linalg.norm(rows[:, np.newaxis] - rows, axis=2)
    np.testing.assert_allclose(constants, expected, rtol=1e-4, atol=1e-4)


CASES = {
    name: NETWORKS[name] for name in ("residual", "max pooling", "sigmoid")
}


def overlapping():
    return chain(
        (6, 6, 1),
        layers.Conv2D(3, 3, activation="tanh"),
        layers.MaxPooling2D(3, strides=1),
        layers.LeakyReLU(),
        layers.Flatten(),
        layers.Dense(4),
    )


@pytest.mark.parametrize("make", [*CASES.values(), overlapping, sorting])
@pytest.mark.parametrize("epsilon", [1e-3, 0.3])
def test_no_point_of_the_ball_goes_below(make, epsilon):
    network = make()
    x, y = drawn(network, seed=3)
    threat = tfr.threats.L2(epsilon)
    lower = tfr.verifiers.Lipschitz(threat).margins(network, x, y)
    assert np.all(np.isfinite(lower))
    attack = tfr.attacks.PGD(threat, steps=20, loss=tfr.losses.Margin())
    points = [attack.perturb(network, tf.constant(x), tf.constant(y))]
    points += [threat.sphere(tf.constant(x), seed) for seed in range(50)]
    for point in points:
        assert np.all(differences(network(point), y) >= lower - 1e-9)


def test_at_radius_zero_only_rounding_is_lost():
    network = chain((4,), layers.Dense(8, "tanh"), layers.Dense(3))
    x, y = drawn(network)
    lower = tfr.verifiers.Lipschitz(tfr.threats.L2(0.0)).margins(network, x, y)
    exact = differences(network(x), y)
    assert np.all(lower <= exact) and np.all(exact - lower < 1e-3)


def test_rounding_is_counted_once_between_activations():
    sizes = 400, 300, 200, 10
    rng = np.random.default_rng(0)
    kernels = [
        np.linalg.qr(rng.normal(size=pair))[0].astype(np.float32)
        for pair in itertools.pairwise(sizes)
    ]

    def forward(x, order):
        for number, kernel in enumerate(kernels):
            x = np.asarray(tfr.layers.MinMax()(x)) if number else x
            x = order(x, kernel)
        return x

    network = chain(
        (400,),
        layers.Dense(300),
        tfr.layers.MinMax(),
        layers.Dense(200),
        tfr.layers.MinMax(),
        layers.Dense(10),
    )
    network.set_weights(
        [part for k in kernels for part in (k, np.zeros(k.shape[1]))]
    )
    x, y = rng.uniform(0.3, 0.7, (8, 400)).astype(np.float32), np.arange(8)
    still = tfr.verifiers.Lipschitz(tfr.threats.L2(0.0)).margins(network, x, y)
    for order in (
        lambda x, k: (x.astype(float) @ k).astype(np.float32),
        lambda x, k: np.cumsum(x[:, :, None] * k, axis=1)[:, -1],
        lambda x, k: np.cumsum((x[:, :, None] * k)[:, ::-1], axis=1)[:, -1],
    ):
        z = forward(x, order)
        found = np.take_along_axis(z, y[:, np.newaxis], 1) - z
        assert np.all(found >= still - 1e-9)
    moved = tfr.verifiers.Lipschitz(tfr.threats.L2(0.3)).margins(network, x, y)
    rows = kernels[-1].T
    lengths = np.linalg.norm(rows[y][:, np.newaxis] - rows, axis=2)
    fall = np.asarray(differences(network(x), y) - moved)
    assert np.all(fall >= 0.3 * lengths - 1e-4)
    assert np.all(fall <= 1.3 * 0.3 * lengths + 1e-2)


def test_overlapping_windows_lengthen_a_move():
    # One input may be the largest of nine windows.
    network = chain((5, 5, 1), layers.MaxPooling2D(3, strides=1))
    x = np.zeros((1, 5, 5, 1), np.float32)
    found = []
    verifier = tfr.verifiers.Lipschitz(tfr.threats.L2(0.5, **BOUNDLESS))
    verifier.traced(network, x, None, lambda b, _: found.append(b.moves))
    *_, last = found[0].values()
    moved = x.copy()
    moved[0, 2, 2] = 0.5
    length = np.linalg.norm(network(moved) - network(x))
    assert length == pytest.approx(1.5)
    assert float(last[0]) == pytest.approx(length, rel=1e-3)


def test_branches_add_up():
    inputs = keras.Input((3,))
    copy = layers.Dense(3, "relu", kernel_initializer="identity")(inputs)
    total = layers.Add()([layers.ReLU()(inputs), copy])
    network = keras.Model(inputs, layers.ReLU()(total))
    x = np.ones((1, 3), np.float32)
    found = []
    verifier = tfr.verifiers.Lipschitz(tfr.threats.L2(0.5, **BOUNDLESS))
    verifier.traced(network, x, None, lambda b, _: found.append(b.moves))
    *_, last = found[0].values()
    moved = x + np.array([0.5, 0.0, 0.0], np.float32)
    length = np.linalg.norm(network(moved) - network(x))
    assert length == pytest.approx(1.0)
    assert float(last[0]) == pytest.approx(length, rel=1e-3)


def test_a_radius_for_each_feature_counts_by_its_largest():
    network = chain((2, 3, 1), layers.Flatten(), layers.Dense(3))
    x, y = drawn(network)
    radii = np.linspace(0.1, 0.2, 6).reshape(2, 3, 1).astype(np.float32)
    each, largest = (
        tfr.verifiers.Lipschitz(tfr.threats.L2(epsilon)).margins(network, x, y)
        for epsilon in (radii, 0.2)
    )
    np.testing.assert_allclose(each, largest, atol=1e-5)


def test_it_certifies_and_decides_specifications():
    network = chain((2, 3, 1), layers.Flatten(), layers.Dense(3))
    x, y = drawn(network)
    verifier = tfr.verifiers.Lipschitz(tfr.threats.L2(1e-4))
    report = tfr.certify(network, (x, y), verifier, verbose=0)
    assert report.certified_accuracy == 1
    same = tfr.verifiers.Specification.label(y, 3)
    assert np.all(verifier.decide(network, x, same).certified)


def test_another_norm_is_refused():
    for threat in (tfr.threats.Linf(0.1), tfr.threats.L1(0.1)):
        with pytest.raises(TypeError, match=r"must be a tfr\.threats\.L2"):
            tfr.verifiers.Lipschitz(threat)


def test_what_no_slope_is_known_of_is_refused(monkeypatch):
    verifier = tfr.verifiers.Lipschitz(tfr.threats.L2(0.1))
    network = chain((4,), layers.Dense(3), layers.Lambda(tf.exp))
    with pytest.raises(NotImplementedError, match="slope of the op Exp"):
        verifier.margins(network, np.ones((1, 4), np.float32), [0])
    monkeypatch.setattr(segments, "LARGEST", 11)
    network = chain((4,), layers.Dense(3), layers.ReLU())
    with pytest.raises(NotImplementedError, match="matrix of up to 3 x 4"):
        verifier.margins(network, np.ones((1, 4), np.float32), [0])


def test_certify_works_singular_values_out_once(monkeypatch):
    network = chain(
        (6, 6, 1),
        layers.Conv2D(4, 3, activation="relu"),
        tfr.layers.MinMax(),
        layers.Flatten(),
        layers.Dense(6, activation="tanh"),
        layers.Dense(3),
    )
    x, y = drawn(network, count=600)  # More than a batch.
    verifier = tfr.verifiers.Lipschitz(tfr.threats.L2(0.02))
    calls = tf.Variable(0)

    def counted(matrix):
        calls.assign_add(1)
        return segments.largest(matrix)

    monkeypatch.setattr(lipschitz_bounds, "largest", counted)
    for scale in (1.0, 1.2):
        # Nothing of the first weights is left at the second.
        network.set_weights([scale * w for w in network.get_weights()])
        calls.assign(0)
        report = tfr.certify(network, (x, y), [verifier], verbose=0)
        assert calls.numpy() == 3
        margins = verifier.margins(network, x, y).numpy()
        assert calls.numpy() == 6
        margins[np.arange(600), y] = np.inf
        found = np.array(report.certificates["margin"], float)
        known = np.isfinite(found)  # Of what is right without an attack.
        assert np.sum(known) > 300
        np.testing.assert_allclose(
            found[known], margins.min(axis=1)[known], rtol=1e-4, atol=1e-5
        )


def test_what_is_broadcast_moves_in_many_places():
    def network(x, training=False):
        copies = tf.maximum(x, tf.zeros([1, 9]))
        total = tf.reduce_sum(copies, axis=1, keepdims=True)
        return tf.concat([total, 0 * total], axis=1)

    x = np.float32([[0.5]])
    for epsilon in (0.1, 0.4, 1.0):
        threat = tfr.threats.L2(epsilon, **BOUNDLESS)
        found = tfr.verifiers.Lipschitz(threat).margins(network, x, [0])
        true = 9 * max(0.5 - epsilon, 0)
        assert found[0, 1] <= true
        assert epsilon > 0.4 or found[0, 1] >= true - 1e-3
