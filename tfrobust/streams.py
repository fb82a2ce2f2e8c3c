"""Random numbers with one independent stream for each example.

The stream of an example is keyed by the example's own content, the seed and
the training step. It depends neither on the batch that the example came in,
nor on its position, nor on the replica that works on it.
"""

import math

import tensorflow as tf

from tfrobust.tracing import one_op
from tfrobust.types import TensorLike

_MASK = 0xFFFFFFFF


def fold(seed: TensorLike, number: TensorLike) -> tf.Tensor:
    """Derives a new scalar seed from `seed` and an integer `number`."""
    return _fold(tf.cast(seed, tf.int64), tf.cast(number, tf.int64))


def uniform(x: TensorLike, seed: TensorLike, stream: int = 0) -> tf.Tensor:
    """Draws from U[0, 1) in the shape of `x`, one stream for each row.

    Args:
        x: Inputs whose rows key the streams, shape `[batch, ...]`, float32.
        seed: Scalar integer.
        stream: Integer that tells apart several draws with one seed.
    """
    (drawn,) = _drawn(x, seed, stream)
    return drawn


def keys(x: TensorLike) -> tf.Tensor:
    """Hashes each row to the key of its streams, int64 `[batch]`.

    A loop that draws often hashes its inputs once, then calls `draw`.
    """
    return _keys(_bits(x))


def draw(
    keys: tf.Tensor, seed: TensorLike, count: TensorLike, begin: TensorLike = 0
) -> tf.Tensor:
    """Draws `count` numbers from U[0, 1) for each key: `[batch, count]`.

    Args:
        keys: What `keys` returned, shape `[batch]`.
        seed: Scalar integer.
        count: Scalar integer.
        begin: Position of the first number in its stream: what one call
            draws with `count=8`, two draw with `begin=0` and `begin=4`.
    """
    return _draw(keys, tf.cast(seed, tf.int64), count, begin)


def normal(x: TensorLike, seed: TensorLike, stream: int = 0) -> tf.Tensor:
    """Draws from N(0, 1) in the shape of `x`, one stream for each row."""
    one, other = _drawn(x, seed, 2 * stream, 2 * stream + 1)
    radius = tf.sqrt(-2 * tf.math.log(1 - one))
    return radius * tf.cos(2 * math.pi * other)


def per_example(x: tf.Tensor, seed: TensorLike, stream: int = 0) -> tf.Tensor:
    """Draws one U[0, 1) for each row, shape `[batch, 1, ..., 1]`."""
    first = draw(keys(x), fold(seed, stream), 1)
    return tf.reshape(first, [-1] + [1] * (len(x.shape) - 1))


def _drawn(x, seed, *streams):
    """Draws from U[0, 1) in the shape of `x`, once for each stream."""
    bits = _bits(x)
    keys, features = _keys(bits), tf.shape(bits)[1]
    drawn = [draw(keys, fold(seed, stream), features) for stream in streams]
    return [tf.reshape(numbers, tf.shape(x)) for numbers in drawn]


def _bits(x):
    """The bits of each row's floats, int32 `[batch, features]`."""
    x = tf.cast(x, tf.float32)
    return tf.bitcast(tf.reshape(x, [tf.shape(x)[0], -1]), tf.int32)


_LONG = tf.TensorSpec([], tf.int64)
_INTEGER = tf.TensorSpec([], tf.int32)


@one_op(_LONG, _LONG)
def _fold(seed, number):
    a, b = (tf.cast(n & _MASK, tf.uint32) for n in (seed, number))
    return tf.cast(_mix(a, b, tf.zeros_like(a))[0], tf.int64)


@one_op(tf.TensorSpec([None, None], tf.int32))
def _keys(bits):
    index = tf.cast(tf.range(tf.shape(bits)[1]), tf.uint32)[tf.newaxis]
    weights = tf.cast(_mix(index, index + 1, index + 2)[0], tf.int64) | 1
    # A multilinear hash.
    total = tf.reduce_sum(tf.cast(bits, tf.int64) * weights, axis=1)
    return tf.bitwise.right_shift(total, tf.constant(32, tf.int64)) & _MASK


@one_op(tf.TensorSpec([None], tf.int64), _LONG, _INTEGER, _INTEGER)
def _draw(keys, seed, count, begin):
    index = tf.cast(begin + tf.range(count), tf.uint32)[tf.newaxis]
    key = tf.cast(keys, tf.uint32)[:, tf.newaxis]
    bits = _mix(index, key, tf.cast(seed, tf.uint32))[0]
    # 24 bits are what float32 holds: every value is exact and below 1.
    bits = tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32))
    return tf.cast(bits, tf.float32) * 2.0**-24


def _mix(x, y, z):
    """The pcg3d hash of three uint32 words.

    Reference: Jarzynski and Olano, 2020, Hash functions for GPU rendering,
    Journal of Computer Graphics Techniques 9(3).
    """
    multiplier = tf.constant(1664525, tf.uint32)
    increment = tf.constant(1013904223, tf.uint32)
    half = tf.constant(16, tf.uint32)
    x, y, z = (word * multiplier + increment for word in (x, y, z))
    x, y, z = _round(x, y, z)
    x, y, z = (
        tf.bitwise.bitwise_xor(word, tf.bitwise.right_shift(word, half))
        for word in (x, y, z)
    )
    return _round(x, y, z)


def _round(x, y, z):
    x = x + y * z
    y = y + z * x
    z = z + x * y
    return x, y, z
