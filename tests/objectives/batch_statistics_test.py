"""Training by the statistics of the clean batch."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.graph import Frozen
from tfrobust.objectives import (
    AWP,
    SABR,
    TRADES,
    BatchStatistics,
    Clean,
    Expressive,
    LossFusion,
    WarmUpRegularized,
    WorstCase,
)

layers = keras.layers
LINF = tfr.threats.Linf(0.05)
IBP, FGSM = tfr.verifiers.IBP(LINF), tfr.attacks.FGSM(LINF)
RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 0.8, (8, 5, 5, 2)).astype(np.float32)
Y = np.arange(8) % 3


def network(*last, dense=False):
    """With batch normalisation of images, in one op, or of features."""
    keras.utils.set_random_seed(1)
    hidden = [layers.Flatten(), layers.Dense(6)] if dense else []
    return keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            *(hidden or [layers.Conv2D(4, 3)]),
            layers.BatchNormalization(gamma_initializer="he_normal"),
            layers.ReLU(),
            *last,
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def normalized(model, x, mean=None, variance=None):
    """What a network of `network` computes, with these statistics."""
    *before, batch_norm, relu, flatten, last = model.layers
    h = tf.convert_to_tensor(x)
    for layer in before:
        h = layer(h)
    if mean is None:
        mean, variance = tf.nn.moments(h, [*range(len(h.shape) - 1)])
    scale = batch_norm.gamma / tf.sqrt(variance + batch_norm.epsilon)
    h = relu(scale * (h - mean) + batch_norm.beta)
    return last(flatten(h)), mean, variance


def compiled(function):
    return tf.function(function, autograph=False)


dense = pytest.mark.parametrize("dense", [False, True], ids=["conv", "dense"])
wraps = pytest.mark.parametrize(
    "wrap", [compiled, lambda f: f], ids=["graph", "eager"]
)


@dense
@wraps
def test_a_frozen_network_has_the_statistics_of_its_batch(wrap, dense):
    model, other = network(dense=dense), X[:3] ** 2

    @wrap
    def run(x, z):
        frozen = Frozen(model, x)
        return frozen.value, frozen(x, training=True), frozen(z)

    value, again, found = run(tf.constant(X), tf.constant(other))
    expected, mean, variance = normalized(model, X)
    np.testing.assert_allclose(value, expected, atol=1e-5)
    np.testing.assert_allclose(again, expected, atol=1e-5)
    expected, _, _ = normalized(model, other, mean, variance)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@dense
def test_the_moving_statistics_are_moved_once(dense):
    model, same = network(dense=dense), network(dense=dense)
    objective = BatchStatistics(TRADES(FGSM._replace(random_start=1.0)))
    objective(model, X, Y)
    same(X, training=True)
    for one, other in zip(model.variables, same.variables, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert np.any(np.asarray(model.layers[-4].moving_mean))


@dense
@wraps
def test_gradients_flow_through_the_statistics(wrap, dense):
    model, z = network(dense=dense), tf.constant(X[::-1] ** 2)
    weights = [model.layers[-5].kernel, model.layers[-4].gamma]

    @wrap
    def gradients(x, frozen):
        with tf.GradientTape() as tape:
            if frozen:
                logits = Frozen(model, x)(z)
            else:
                _, *statistics = normalized(model, x)
                logits, *_ = normalized(model, z, *statistics)
            loss = tf.reduce_sum(logits**2)
        return tape.gradient(loss, weights)

    found, expected = (gradients(tf.constant(X), f) for f in (True, False))
    for one, other in zip(found, expected, strict=True):
        one, other = tf.convert_to_tensor(one), tf.convert_to_tensor(other)
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_intervals_are_those_of_that_affine_map():
    model = network(dense=True)
    losses = BatchStatistics(WorstCase(IBP))(model, X, Y)
    _, mean, variance = normalized(model, X)
    _, hidden, norm, _, _, last = model.layers
    scale = np.asarray(norm.gamma / tf.sqrt(variance + norm.epsilon))
    flat = X.reshape(8, -1)
    kernel, bias = np.asarray(hidden.kernel), np.asarray(hidden.bias)
    centre = scale * (flat @ kernel + bias - mean) + np.asarray(norm.beta)
    radius = np.abs(scale) * (0.05 * np.abs(kernel).sum(0))
    lower, upper = (np.maximum(centre + s * radius, 0) for s in (-1, 1))
    kernel, bias = np.asarray(last.kernel), np.asarray(last.bias)
    leads = kernel.T[None] - kernel.T[Y][:, None]
    worst = np.where(leads > 0, upper[:, None], lower[:, None])
    worst = np.sum(leads * worst, axis=2) + bias - bias[Y][:, None]
    expected = np.log(np.sum(np.exp(worst), axis=1))
    np.testing.assert_allclose(losses, expected, rtol=1e-3)


@pytest.mark.parametrize(
    "objective",
    [
        Clean(),
        Expressive(FGSM, IBP, 0.5, "cc"),
        SABR(FGSM),
        LossFusion(tfr.verifiers.CROWNIBP(LINF)),
        WarmUpRegularized(WorstCase(IBP), IBP, 0.05),
        WorstCase(tfr.verifiers.CROWN(LINF), mix=0.5),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_any_objective_trains_with_it(objective):
    model = tfr.RobustModel(network(layers.Activation("gelu")))
    adam = keras.optimizers.Adam(0.01)
    model.compile(adam, objective=BatchStatistics(objective))
    estimate = tfr.callbacks.ReestimateBatchNorm((X, Y), batch_size=8)
    history = model.fit(
        X, Y, batch_size=8, epochs=8, verbose=0, callbacks=[estimate]
    ).history
    assert history["loss"][-1] < history["loss"][0]


def test_weights_are_moved_outside_of_it():
    model = network()
    losses = AWP(BatchStatistics(WorstCase(FGSM)))(model, X, Y)
    assert np.all(np.isfinite(losses))
    with pytest.raises(ValueError, match=r"AWP\(BatchStatistics"):
        BatchStatistics(AWP(WorstCase(FGSM)))


def test_what_is_random_in_training_is_refused():
    with pytest.raises(ValueError, match="such as Dropout"):
        BatchStatistics(WorstCase(IBP))(network(layers.Dropout(0.5)), X, Y)


def test_statistics_inside_of_a_function_are_refused():
    normalize = layers.BatchNormalization()

    @tf.function(autograph=False)
    def normalized(x, training=False):
        return normalize(x, training=training)

    normalize.build([None, 5, 5, 2])
    message = "no tf.function of its own"
    with pytest.raises(NotImplementedError, match=message):
        BatchStatistics(Clean())(normalized, X, Y)


def test_a_network_that_counts_its_batch_is_refused():
    kernel = tf.ones([50, 3])

    def counting(x, training=False):
        flat = tf.reshape(x, [-1, 50])
        count = tf.cast(tf.shape(x)[0], tf.float32)
        return (flat - tf.reduce_sum(flat, axis=0) / count) @ kernel

    with pytest.raises(NotImplementedError):
        Frozen(counting, tf.constant(X))(tf.constant(X))


def test_a_function_that_changes_a_variable_is_refused():
    seen = tf.Variable(0.0)

    @tf.function(autograph=False)
    def inner(x):
        seen.assign_add(tf.reduce_mean(x))
        return x - tf.reduce_mean(x, axis=0)

    def counting(x, training=False):
        return tf.reduce_mean(inner(x), [1, 2])

    with pytest.raises(NotImplementedError, match="changes a state"):
        Frozen(counting, tf.constant(X))


def test_means_of_one_example_are_still_of_each():
    def centred(x, training=False):
        return tf.reduce_mean(x - tf.reduce_mean(x, [1, 2], True), [1, 2])

    frozen = Frozen(centred, tf.constant(X))
    np.testing.assert_allclose(frozen(X[:2]), np.zeros((2, 2)), atol=1e-6)


def test_it_is_saved_with_the_model(tmp_path):
    model = tfr.RobustModel(network())
    model.compile("adam", objective=BatchStatistics(WorstCase(IBP)))
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert copy.get_compile_config() == model.get_compile_config()
    copy.fit(X, Y, verbose=0)


def test_rows_and_steps_are_trained_with_it():
    for step in (layers.Dense(4), layers.LSTM(4, return_sequences=True)):
        normed = [step, layers.BatchNormalization(), layers.Flatten()]
        model = tfr.RobustModel(
            keras.Sequential([keras.Input((4, 3)), *normed, layers.Dense(3)])
        )
        model.compile("adam", objective=BatchStatistics(WorstCase(IBP)))
        x = np.random.default_rng(0).uniform(size=(16, 4, 3))
        history = model.fit(x.astype(np.float32), np.arange(16) % 3, verbose=0)
        assert np.isfinite(history.history["loss"][0])
