import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import schedules
from tfrobust.backend import keras
from tfrobust.objectives import AWP, Clean, WorstCase


def moved_kernel(hand, gamma, weight=1.0):
    """The kernel at `gamma * |w| * g / |g|` up the gradient of the loss."""
    worst = hand.worst()
    gradient = worst.T @ (weight * hand.error(hand.logits(worst))) / 3
    size = gamma * np.linalg.norm(hand.kernel) / np.linalg.norm(gradient)
    return hand.kernel + size * gradient


@pytest.mark.parametrize("gamma", [0.2, schedules.Ramp(0.0, 0.4, end=10)])
def test_the_loss_is_that_of_the_moved_kernel_and_the_same_bias(hand, gamma):
    logits = hand.logits(hand.worst(), moved_kernel(hand, 0.2))
    objective = AWP(WorstCase(hand.attack), gamma)
    values = objective(hand.network, hand.x, hand.y, step=5)
    np.testing.assert_allclose(values, hand.cross_entropy(logits), rtol=1e-5)


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
def test_the_gradient_is_taken_at_the_moved_weights(hand, wrap):
    objective = AWP(WorstCase(hand.attack), gamma=0.2)

    @wrap
    def gradient():
        with tf.GradientTape() as tape:
            loss = objective(hand.network, hand.x, hand.y)
        return tape.gradient(loss, hand.network.trainable_variables[0])

    worst, moved = hand.worst(), moved_kernel(hand, 0.2)
    expected = worst.T @ hand.error(hand.logits(worst, moved))
    np.testing.assert_allclose(gradient(), expected, rtol=1e-4)


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
def test_the_weights_are_put_back_to_the_bit(hand, wrap):
    before = hand.network.get_weights()
    wrap(lambda: AWP(Clean(), 0.3)(hand.network, hand.x, hand.y))()
    for old, new in zip(before, hand.network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_its_search_leaves_batch_normalisation_alone(hand):
    normalisation = keras.layers.BatchNormalization()
    network = keras.Sequential([keras.Input((3,)), normalisation, *layers()])
    before = [np.array(w) for w in normalisation.weights]
    objective = AWP(WorstCase(hand.attack), gamma=0.2)
    found = objective.search(network, hand.x, hand.y)
    for old, new in zip(before, normalisation.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    objective.outcome(network, hand.x, hand.y, found)
    assert np.any(before[2] != np.array(normalisation.weights[2]))


def layers():
    return [keras.layers.Dense(4, "relu"), keras.layers.Dense(3)]


def test_a_kernel_that_the_loss_does_not_reach_stays_where_it_is(hand):
    class Spare(keras.Model):
        def __init__(self):
            super().__init__()
            self.used = keras.layers.Dense(3)
            self.spare = keras.layers.Dense(3)
            self.spare.build((None, 3))

        def call(self, x, training=False):
            return self.used(x)

    network = Spare()
    network(hand.x)
    values = AWP(Clean(), 0.1)(network, hand.x, hand.y)
    assert np.all(np.isfinite(values))


def test_several_replicas_are_refused(hand, monkeypatch):
    class Strategy:
        num_replicas_in_sync = 2

    monkeypatch.setattr(tf.distribute, "get_strategy", Strategy)
    with pytest.raises(NotImplementedError, match="one replica.*2 replicas"):
        AWP(Clean()).search(hand.network, hand.x, hand.y)


def test_weights_move_up_the_loss_of_the_weighted_examples(hand):
    weight = np.array([[0.0], [3.0], [0.5]])
    logits = hand.logits(hand.worst(), moved_kernel(hand, 0.2, weight))
    expected = hand.cross_entropy(logits)
    model = tfr.RobustModel(hand.network)
    objective = AWP(WorstCase(hand.attack), gamma=0.2)
    model.compile(keras.optimizers.SGD(0.0), objective=objective)
    x = hand.x.astype("float32")
    for form in (weight, weight[:, 0]):
        loss = model.train_on_batch(x, hand.y, form)
        loss = loss["loss"] if isinstance(loss, dict) else loss[0]
        weighted = np.mean(weight[:, 0] * expected)
        assert float(loss) == pytest.approx(weighted, rel=1e-4)


class Broken(Clean):
    def outcome(self, model, x, y, found):
        if not isinstance(model, keras.Model):  # AWP's search, in its stead.
            return super().outcome(model, x, y, found)
        raise RuntimeError("broken")


def test_an_error_inside_puts_the_weights_back(hand):
    before = hand.network.get_weights()
    with pytest.raises(RuntimeError, match="broken"):
        AWP(Broken(), 0.3)(hand.network, hand.x, hand.y)
    for old, new in zip(before, hand.network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
