"""Intervals in front, attacks behind."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.objectives import SABR, TAPS, BatchStatistics
from tfrobust.objectives.latent import linked

layers = keras.layers
LINF = tfr.threats.Linf(0.1)
RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 0.8, (6, 4)).astype(np.float32)
Y = np.arange(6) % 3


def network():
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="relu"),
            layers.Dense(6, activation="relu"),
            layers.Dense(3),
        ]
    )


def box_after(model, x, radius, count):
    """Intervals of so many of the network's Dense layers with ReLU."""
    lower, upper = x - radius, x + radius
    for layer in model.layers[:count]:
        kernel, bias = (np.asarray(w, np.float64) for w in layer.weights)
        centre, half = (lower + upper) / 2, (upper - lower) / 2
        centre, half = centre @ kernel + bias, half @ np.abs(kernel)
        lower, upper = (np.maximum(centre + s * half, 0) for s in (-1, 1))
    return lower, upper


def cross_entropy(leads):
    return np.log(np.sum(np.exp(leads), axis=1))


def bounded(model):
    """The leads that intervals allow."""
    logits = tfr.verifiers.IBP(LINF).logits(model, X, Y)
    return np.asarray(logits)


def attacked(model, lower, upper, split):
    """The largest leads over corners of a box behind `split` layers.

    Behind the last activation but one the network is convex in the box, so
    they are the largest of all.
    """
    signs = np.stack(np.meshgrid(*[[0, 1]] * lower.shape[1]), -1)
    signs = signs.reshape(-1, lower.shape[1])
    best = np.full((len(X), 3), -np.inf)
    for sign in signs:
        value = tf.constant(lower + sign * (upper - lower), tf.float32)
        for layer in model.layers[split:]:
            value = layer(value)
        leads = value - tf.gather(value, Y, batch_dims=1)[:, tf.newaxis]
        best = np.maximum(best, leads)
    return best


def test_the_loss_is_the_product_of_what_attack_and_intervals_leave():
    model = network()
    values = TAPS(LINF, split=1, steps=20, step_size=0.5)(model, X, Y)
    largest = attacked(model, *box_after(model, X, 0.1, 1), 1)
    loose, tight = cross_entropy(bounded(model)), cross_entropy(largest)
    assert np.all(values <= 1.0001 * loose * tight)
    np.testing.assert_allclose(np.mean(values), np.mean(loose * tight), 2e-2)
    point = np.asarray(model(X))
    clean = cross_entropy(point - point[np.arange(6), Y][:, None])
    assert np.all(values >= 0.9999 * loose * clean)


def test_behind_the_last_activation_both_losses_are_one():
    model = network()
    values = TAPS(LINF, split=2, steps=9, step_size=0.5)(model, X, Y)
    both = cross_entropy(bounded(model))
    np.testing.assert_allclose(values, both**2, rtol=1e-2)


def test_it_is_interval_bound_propagation_until_it_begins():
    model = network()
    objective = TAPS(LINF, split=1, begin=5)
    early, late = (objective(model, X, Y, step=step) for step in (4, 5))
    np.testing.assert_allclose(early, cross_entropy(bounded(model)), 1e-4)
    always = TAPS(LINF, split=1)(model, X, Y, step=5)
    np.testing.assert_allclose(late, always, rtol=1e-5)
    assert not np.allclose(early, late)


def test_a_small_box_is_attacked_as_by_sabr():
    model, pgd = network(), tfr.attacks.PGD(LINF, steps=3)
    staps = TAPS(pgd, split=1, share=0.4, begin=9)(model, X, Y, step=1)
    sabr = SABR(pgd, share=0.4)(model, X, Y, step=1)
    np.testing.assert_allclose(staps, sabr, rtol=1e-6)
    tighter = TAPS(pgd, split=1, share=0.4)(model, X, Y, step=9)
    assert np.mean(tighter) < np.mean(TAPS(LINF, split=1)(model, X, Y))


def gradients(model, objective, step=0):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(objective(model, X, Y, step=step))
    found = tape.gradient(loss, model.trainable_variables)
    return [tf.convert_to_tensor(gradient) for gradient in found]


def test_the_weight_multiplies_the_gradient_of_the_points_alone():
    model = network()
    none, one, two = (
        gradients(model, TAPS(LINF, split=1, weight=weight))
        for weight in (0.0, 1.0, 2.0)
    )
    for a, b, c in zip(none, one, two, strict=True):
        np.testing.assert_allclose(c - b, b - a, rtol=1e-3, atol=1e-5)
    moved = [np.max(np.abs(b - a)) for a, b in zip(none, one, strict=True)]
    assert min(moved) > 1e-4  # Also the weights in front of the box.


def test_points_move_the_end_that_is_near():
    lower, upper = tf.zeros([1, 5]), 4 * tf.ones([1, 5])
    point = tf.constant([[0.0, 1.0, 2.0, 3.5, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch([lower, upper])
        value = linked(point, (lower, upper))
    low, high = tape.gradient(value, [lower, upper])
    np.testing.assert_array_equal(value, point)
    np.testing.assert_allclose(low, [[1, 0.5, 0, 0, 0]])
    np.testing.assert_allclose(high, [[0, 0, 0, 0.75, 1]])


def test_an_end_of_no_width_gets_no_gradient():
    same = tf.ones([1, 2])
    with tf.GradientTape() as tape:
        tape.watch(same)
        value = linked(tf.ones([1, 2]), (same, same))
    np.testing.assert_array_equal(value, same)
    np.testing.assert_array_equal(tape.gradient(value, same), [[0, 0]])


@pytest.mark.parametrize("around", [lambda o: o, BatchStatistics])
def test_fit_trains_with_it(around):
    keras.utils.set_random_seed(0)
    model = tfr.RobustModel(
        keras.Sequential(
            [
                keras.Input((6, 6, 1)),
                layers.Conv2D(4, 3),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Flatten(),
                layers.Dense(8, activation="relu"),
                layers.Dense(3),
            ]
        )
    )
    x = RNG.uniform(size=(48, 6, 6, 1)).astype(np.float32)
    y = np.digitize(x.mean((1, 2, 3)), [0.48, 0.52])
    ramp = tfr.schedules.Ramp(0.0, 0.05, end=9)
    objective = TAPS(tfr.threats.Linf(ramp), split=1, steps=2, begin=9)
    adam = keras.optimizers.Adam(0.01)
    model.compile(adam, objective=around(objective))
    history = model.fit(x, y, batch_size=16, epochs=16, verbose=0).history
    assert history["loss"][-1] < history["loss"][4]
    assert "taps_accuracy" in history


def test_a_split_that_does_not_fit_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match=r"Of 2 activations fit: \[1, 2\]"):
        TAPS(LINF, split=3, begin=9)(network(), X, Y)

    kernel = tf.ones([4, 3])

    def residual(x, training=False):
        hidden = tf.nn.relu(x) @ kernel
        wide = tf.nn.relu(tf.pad(hidden, [[0, 0], [0, 1]])) + x
        return tf.nn.relu(wide) @ kernel

    with pytest.raises(ValueError, match=r"Of 3 activations fit: \[3\]"):
        TAPS(LINF, split=1)(residual, X, Y)


def paired():
    keras.utils.set_random_seed(2)
    front = [layers.Dense(6), layers.BatchNormalization(), tfr.layers.MinMax()]
    behind = [layers.Dense(4), tfr.layers.MinMax(), layers.Dense(3)]
    return keras.Sequential([keras.Input((4,)), *front, *behind])


def sorted_pairs(x):
    first, second = np.split(x, 2, axis=1)
    return np.hstack([np.maximum(first, second), np.minimum(first, second)])


def paired_box(model, count):
    """Intervals of so many of the layers of `paired`."""
    lower, upper = X - 0.1, X + 0.1
    for layer in model.layers[:count]:
        if isinstance(layer, layers.Dense):
            kernel, bias = (np.asarray(w, np.float64) for w in layer.weights)
            centre, half = (lower + upper) / 2, (upper - lower) / 2
            centre, half = centre @ kernel + bias, half @ np.abs(kernel)
            lower, upper = centre - half, centre + half
            continue
        pairs = isinstance(layer, tfr.layers.MinMax)
        change = sorted_pairs if pairs else lambda x: x / np.sqrt(1.001)
        lower, upper = change(lower), change(upper)
    return lower, upper


def test_a_min_max_is_an_activation():
    model = paired()
    with pytest.raises(ValueError, match=r"Of 2 activations fit: \[1, 2\]"):
        TAPS(LINF, split=3)(model, X, Y)
    loose = cross_entropy(bounded(model))
    last = TAPS(LINF, split=2, steps=9, step_size=0.5)(model, X, Y)
    tight = cross_entropy(attacked(model, *paired_box(model, 5), 5))
    np.testing.assert_allclose(last, loose * tight, rtol=1e-3)
    first = TAPS(LINF, split=1, steps=9, step_size=0.5)(model, X, Y)
    corners = cross_entropy(attacked(model, *paired_box(model, 3), 3))
    # What follows isn't convex, so some attacks end short of the corner.
    assert np.sum(np.isclose(first, loose * corners, rtol=1e-3)) >= 4
    assert np.all(first < 1.001 * loose * corners)


def test_arguments_are_checked_where_they_are_written():
    for arguments, name in (
        ({"split": 0}, "split"),
        ({"split": 1, "weight": -1.0}, "weight"),
        ({"split": 1, "begin": -1}, "begin"),
        ({"split": 1, "steps": 0}, "steps"),
        ({"split": 1, "step_size": -0.5}, "step_size"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`"):
            TAPS(LINF, **arguments)
    with pytest.raises(ValueError, match="Linf or a Box"):
        TAPS(tfr.threats.L2(0.1), split=1)
