"""Networks that aren't a function of each example alone are refused."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

X = np.float32([[0.6, 0.5]])
SCALE = tf.constant([[1.0, 0.5]])


def margins(network, x=X):
    verifier = tfr.verifiers.CROWN(tfr.threats.Linf(0.1))
    return verifier.margins(network, x, np.zeros(len(x), int)).numpy()


def mean_over_active(x, training=False):
    count = tf.shape(tf.where(x > 0.55))[0]
    mean = tf.reduce_sum(x, 1) / tf.cast(tf.maximum(count, 2), x.dtype)
    return tf.stack([mean, 0 * mean + 0.65], 1)


def any_active(x, training=False):
    return x * tf.cast(tf.shape(tf.where(x > 0.55))[0] > 0, tf.float32)


def ones_like_active(x, training=False):
    ones = tf.ones_like(tf.boolean_mask(x, x > 0.55))
    return x * tf.reduce_sum(ones)


def ranged(x, training=False):
    length = tf.cast(10 * x[0, 0], tf.int32)
    return x * tf.cast(tf.shape(tf.range(length))[0], tf.float32)


def shape_of_rows_of_active(x, training=False):
    rows = tf.shape(tf.boolean_mask(x, x[:, 0] > 0.55))
    return x + tf.zeros([rows[0], 2])


@pytest.mark.parametrize(
    "network",
    [
        mean_over_active,
        any_active,
        ones_like_active,
        ranged,
        shape_of_rows_of_active,
    ],
)
def test_a_shape_that_follows_from_values_is_no_constant(network):
    for called in network, tf.function(network, autograph=False):
        with pytest.raises(NotImplementedError, match="The op|no rule"):
            margins(called)


def shrinks(x, training=False):
    count = tf.cast(tf.shape(x)[0], tf.float32)
    return x * tf.minimum(1.0, 2.0 / count)


def turns(x, training=False):
    return x * tf.where(tf.shape(x)[0] > 2, -1.0, 1.0)


def halves(x, training=False):
    return x * tf.cast(tf.shape(x)[0] // 3, tf.float32)


def third_row(x, training=False):
    return x * (1 + tf.reduce_sum(tf.ones_like(x)[2:3]))


def row_by_size(x, training=False):
    rows = tf.constant([[1.0], [1.0], [1.0], [-1.0]])
    return x * tf.gather(rows, tf.shape(x)[:1])


def sums_rows(x, training=False):
    return x * tf.minimum(tf.reduce_sum(tf.ones_like(x)), 1.0)


@pytest.mark.parametrize(
    "network",
    [shrinks, turns, halves, third_row, row_by_size, sums_rows],
)
def test_no_size_of_the_batch_is_reckoned_with(network):
    for called in network, tf.function(network, autograph=False):
        with pytest.raises(NotImplementedError, match="The op"):
            margins(called)


def flattens(x, training=False):
    return tf.reshape(x, [tf.shape(x)[0], -1])


def stacks_ones(x, training=False):
    return tf.stack([x[:, 0], 2 * tf.ones_like(x[:, 0])], 1)


def adds_zeros(x, training=False):
    return x + tf.zeros([tf.shape(x)[0], 2])


def broadcasts(x, training=False):
    return x + tf.broadcast_to(SCALE, [tf.shape(x)[0], 2])


def tiles(x, training=False):
    return x + tf.tile(SCALE, [tf.shape(x)[0], 1])


def fills(x, training=False):
    return x * tf.fill(tf.shape(x), 2.0)


def reads_features(x, training=False):
    return x * tf.cast(tf.shape(x)[1] // 2, tf.float32)


@pytest.mark.parametrize(
    "network",
    [
        flattens,
        stacks_ones,
        adds_zeros,
        broadcasts,
        tiles,
        fills,
        reads_features,
    ],
)
def test_rows_that_are_the_same_for_everyone_are_constants(network):
    x = np.float32([[0.6, 0.5], [0.1, 0.9], [0.3, 0.3]])
    logits = network(tf.constant(x)).numpy()
    true = logits[:, :1] - logits
    verifier = tfr.verifiers.CROWN(tfr.threats.Linf(0.0))
    for called in network, tf.function(network, autograph=False):
        found = verifier.margins(called, x, np.zeros(3, int))
        np.testing.assert_allclose(found, true, atol=1e-4)


class Remembers(keras.layers.Layer):
    def build(self, shape):
        self.mean = self.add_weight(
            shape=(2,), initializer="zeros", trainable=False, name="mean"
        )

    def call(self, x):
        self.mean.assign(tf.reduce_mean(x, 0))
        return self.mean - 0.2 * x

    def compute_output_shape(self, shape):
        return shape


def test_what_is_written_from_the_input_and_read_again_is_refused():
    network = keras.Sequential([keras.Input((2,)), Remembers()])
    with pytest.raises(NotImplementedError, match="remembers.*changes a state"):
        margins(network)


def test_a_function_that_changes_a_variable_in_between_is_refused():
    weight = tf.Variable(1.0)

    @tf.function(autograph=False)
    def network(x, training=False):
        weight.assign(-1.0)
        y = x * weight
        weight.assign(1.0)
        return y

    with pytest.raises(NotImplementedError, match="changes a state"):
        margins(network)


def test_what_python_keeps_of_the_input_is_refused():
    kept = [np.float32(0)]

    def keep(x):
        kept[0] = x[0, 0]
        return np.float32(0)

    def network(x, training=False):
        done = tf.numpy_function(keep, [x], tf.float32)
        with tf.control_dependencies([done]):
            read = tf.numpy_function(lambda: kept[0], [], tf.float32)
        return x * tf.reshape(read, [])

    with pytest.raises(NotImplementedError, match="calls Python"):
        margins(network)


def random_by_shape(x, training=False):
    return x * tf.floor(tf.random.uniform(tf.shape(x)[1:]) + 0.8)


def random_by_generator(x, training=False):
    return x * tf.random.get_global_generator().uniform([2])


@pytest.mark.parametrize("network", [random_by_shape, random_by_generator])
def test_a_random_network_is_refused_each_time(network):
    tf.random.get_global_generator()  # Its variable isn't made in a function.
    for called in network, tf.function(network, autograph=False):
        for _ in range(4):
            with pytest.raises(
                (ValueError, NotImplementedError), match="random|state"
            ):
                margins(called)


WEIGHT = tf.Variable(1.0)


def branches(x, training=False):
    return x * tf.cond(WEIGHT > 0, lambda: 1.0, lambda: -1.0)


def calls(x, training=False):
    return x * tf.function(lambda w: w * 2.0)(WEIGHT * SCALE)


def loops(x, training=False):
    def body(i, w):
        return i + 1, w * 1.1

    return x * tf.while_loop(lambda i, w: i < 3, body, (0, WEIGHT * 1.0))[1]


@pytest.mark.parametrize("network", [branches, calls, loops])
def test_weights_that_a_function_computes_by_a_function_are_refused(network):
    with pytest.raises(NotImplementedError, match="calls a function"):
        margins(tf.function(network, autograph=False))
    found = margins(network)  # Outside of functions they are just weights.
    assert np.isfinite(found).all()
