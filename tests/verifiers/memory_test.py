"""Memory by hand."""

import pytest
import tensorflow as tf

from tfrobust.verifiers.memory import bytes_of

pytestmark = pytest.mark.keras_free

FLOATS = tf.TensorSpec([None, 1000], tf.float32)
ONE = 4000  # Bytes of one tensor of an example.


def taken(function):
    traced = tf.function(function, autograph=False)
    return bytes_of(traced.get_concrete_function(FLOATS).graph) / 2 / ONE


def test_what_is_read_no_more_is_free():
    def chain(x):
        for _ in range(5):
            x = tf.sin(x)
        return x

    assert taken(chain) == 2


def test_what_is_read_later_is_kept():
    def kept(x):
        waves = [tf.sin(k * x) for k in range(2, 6)]
        return tf.add_n(waves)

    # Four waves, the argument of the last, or the sum.
    assert taken(kept) == 5


def test_a_view_takes_nothing():
    def viewed(x):
        waves = tf.sin(x)
        return tf.reshape(tf.identity(waves), [-1, 10, 100])

    assert taken(viewed) == 1


def test_loops_and_branches_are_looked_into():
    def looped(x):
        def step(k, x):
            return k + 1, tf.reduce_sum(
                tf.sin(x)[:, tf.newaxis] * x[..., tf.newaxis], 1
            )

        return tf.while_loop(lambda k, _: k < 3, step, (0, x))[1]

    assert taken(looped) > 1000

    def branched(x):
        return tf.cond(
            tf.reduce_sum(x) > 0,
            lambda: tf.add_n([tf.sin(k * x) for k in range(2, 9)]),
            lambda: x,
        )

    assert taken(branched) >= 8
