"""Inside the training step: statistics, penalties and traces."""

import time

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

EPSILON = 0.1
RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.2, 0.8, (20, 4)).astype("float32")
Y = RANDOM.integers(0, 3, 20)
KERNEL = 3 * RANDOM.normal(size=(4, 3)).astype("float32")
PENALTY = 0.1


def compiled(layers, epsilon=EPSILON, kind=tfr.RobustModel):
    network = keras.Sequential([keras.Input((4,)), *layers])
    network.layers[-1].set_weights([KERNEL, np.zeros(3, "float32")][:1])
    attack = tfr.attacks.PGD(
        tfr.threats.Linf(epsilon), steps=1, step_size=1.0, random_start=0.0
    )
    model = kind(network)
    model.compile(
        keras.optimizers.SGD(0.5),
        objective=tfr.objectives.WorstCase(attack),
        adversaries={"pgd": tfr.attacks.PGD(tfr.threats.Linf(EPSILON))},
    )
    return model


def head(**options):
    return keras.layers.Dense(3, use_bias=False, **options)


def slope(x):
    """The gradient of the cross entropies by the logits of the head."""
    powers = np.exp(x @ KERNEL)
    return powers / np.sum(powers, axis=1, keepdims=True) - np.eye(3)[Y]


def worst(x):
    return x + EPSILON * np.sign(slope(x) @ KERNEL.T)


class Penalized(keras.layers.Dense):
    """A dense layer that adds the penalty of an activity regulariser."""

    def call(self, inputs, training=False):
        outputs = super().call(inputs)
        self.add_loss(PENALTY * tf.reduce_sum(outputs**2) / 20)
        return outputs


L2 = keras.regularizers.L2(PENALTY)


@pytest.mark.parametrize(
    "layer, of_outputs",
    [
        (head(kernel_regularizer=L2), False),
        (head(activity_regularizer=L2), True),
        (Penalized(3, use_bias=False), True),
    ],
    ids=["kernel", "activity", "add_loss"],
)
def test_penalties_are_those_of_the_training_forward_alone(layer, of_outputs):
    # The attack calls the layer too, in the graph of a loop: what its calls
    # add must neither leak nor count.
    model = compiled([layer])
    outputs = layer(X)
    # Not every release of Keras divides a penalty by the batch size.
    factor = np.sum(layer.losses) / np.sum(outputs**2)
    loss = model.fit(X, Y, batch_size=20, verbose=0).history["loss"][0]
    points = worst(X)
    gradient = points.T @ slope(points) / 20
    if of_outputs:
        gradient += 2 * factor * points.T @ (points @ KERNEL)
        penalty = factor * np.sum((points @ KERNEL) ** 2)
    else:
        gradient += 2 * PENALTY * KERNEL
        penalty = PENALTY * np.sum(KERNEL**2)
    np.testing.assert_allclose(
        layer.get_weights()[0], KERNEL - 0.5 * gradient, atol=1e-5
    )
    data = -np.log((slope(points) + np.eye(3)[Y])[np.arange(20), Y])
    assert loss == pytest.approx(np.mean(data) + penalty, rel=1e-5)
    model.evaluate(X, Y, verbose=0)


def test_only_the_training_forward_moves_batch_statistics():
    norm = keras.layers.BatchNormalization(momentum=0.5, epsilon=0.0)
    model = compiled([norm, head()])
    model.fit(X, Y, batch_size=20, verbose=0)
    # The initial statistics, 0 and 1, leave inputs as they are, so that the
    # worst points are those of the head alone.
    _, _, mean, variance = (np.asarray(w) for w in norm.get_weights())
    points = worst(X)
    np.testing.assert_allclose(mean, np.mean(points, 0) / 2, rtol=1e-5)
    spread = (1 + np.var(points, 0)) / 2
    np.testing.assert_allclose(variance, spread, rtol=1e-5)
    model.evaluate(X, Y, verbose=0)
    model.network(tfr.attacks.PGD(tfr.threats.Linf(0.1)).perturb(model, X, Y))
    np.testing.assert_array_equal(norm.get_weights()[2], mean)
    np.testing.assert_array_equal(norm.get_weights()[3], variance)


class Counted(tfr.RobustModel):
    traces = 0

    def train_step(self, data):
        Counted.traces += 1
        return super().train_step(data)


def test_an_epsilon_that_moves_adds_no_trace(monkeypatch):
    traces, losses = [], []
    for epsilon in (0.0, tfr.schedules.Ramp(0.0, 0.3, end=8)):
        monkeypatch.setattr(Counted, "traces", 0)
        model = compiled([head()], epsilon, Counted)
        model.optimizer.learning_rate = 0.0
        losses.append(model.fit(X, Y, epochs=8, verbose=0).history["loss"])
        traces.append(Counted.traces)
    assert traces == [1, 1]
    np.testing.assert_allclose(losses[0], losses[0][0], rtol=1e-5)
    assert np.all(np.diff(losses[1]) > 0)
    assert losses[1][0] == pytest.approx(losses[0][0], rel=1e-5)


def test_the_step_counter_waits_for_the_batch():
    model = compiled([head()])
    seen = []

    def read():
        time.sleep(0.1)
        seen.append(int(np.asarray(model.optimizer.iterations)))
        return X

    batch = tf.data.Dataset.range(1).map(
        lambda _: (
            tf.ensure_shape(tf.numpy_function(read, [], tf.float32), X.shape),
            tf.constant(Y),
        )
    )
    model.fit(batch, epochs=3, verbose=0)
    assert seen == [0, 1, 2]
