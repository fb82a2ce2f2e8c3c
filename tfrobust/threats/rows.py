"""Arithmetic on batches whose examples are flattened to rows."""

import tensorflow as tf

from tfrobust.types import TensorLike


def flat(value: TensorLike) -> tf.Tensor:
    """Flattens each row: shape `[batch, features]`."""
    value = tf.convert_to_tensor(value)
    if value.shape.rank == 2:
        return value
    features = value.shape[1:].num_elements()
    if features:
        return tf.reshape(value, [-1, features])
    return tf.reshape(value, [tf.shape(value)[0], -1])


def spread(value: TensorLike, x: TensorLike) -> tf.Tensor:
    """Broadcasts to the shape of x and flattens each row."""
    return flat(tf.broadcast_to(value, tf.shape(x)))


def column(values: TensorLike, x: tf.Tensor) -> tf.Tensor:
    """Shapes one value for each example to broadcast against x."""
    return tf.reshape(values, [-1] + [1] * (len(x.shape) - 1))


def cosine(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """The cosine of each pair of rows, `[batch]`; 0 where a row is 0."""
    return tf.reduce_sum(_unit(one) * _unit(other), axis=1)


def _unit(rows):
    # A scale changes nothing, but squares of small numbers vanish.
    size = tf.reduce_max(tf.abs(rows), axis=1, keepdims=True)
    rows = tf.math.divide_no_nan(rows, tf.stop_gradient(size))
    # The square root has no gradient at 0; elsewhere this is at least 1.
    square = tf.reduce_sum(rows**2, axis=1, keepdims=True)
    return rows * tf.math.rsqrt(tf.maximum(square, 0.5))


def normalized(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns rows scaled to a largest magnitude of 1, and the magnitudes."""
    size = tf.reduce_max(tf.abs(rows), axis=-1, keepdims=True)
    return tf.math.divide_no_nan(rows, size), size
