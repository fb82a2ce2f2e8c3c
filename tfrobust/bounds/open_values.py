"""Bounding some values of a batch, a few at a time."""

from collections.abc import Callable

import tensorflow as tf


def index_of(chosen: tf.Tensor) -> tf.Tensor:
    """Example and number of each chosen value; the first of all if none is.

    Args:
        chosen: Which values are chosen, shape `[batch, values]`, bool.

    Returns:
        Shape `[rows, 2]`, at least one row.
    """
    index = tf.where(chosen)
    missing = tf.cast(tf.size(index) == 0, tf.int32)
    return tf.pad(index, [[0, missing], [0, 0]])


def in_chunks(
    bound: Callable, index: tf.Tensor, length: int
) -> list[tf.Tensor]:
    """Bounds rows, no more than `length` at once.

    Args:
        bound: Function of some rows of the index to bounds, `[2, rows]`.
        index: Shape `[rows, 2]`.
        length: The most rows at once.

    Returns:
        Both bounds of all rows, each `[rows]`.
    """
    count = tf.shape(index)[0]

    def some(begin, done):
        ends = bound(index[begin : begin + length])
        done = done.write(begin // length, tf.transpose(ends))
        return begin + length, done

    done = tf.TensorArray(
        tf.float32,
        size=0,
        dynamic_size=True,
        infer_shape=False,
        element_shape=[None, 2],
    )
    _, done = tf.while_loop(
        lambda begin, _: begin < count,
        some,
        (tf.constant(0), done),
        parallel_iterations=1,
    )
    return tf.unstack(done.concat(), axis=1)


def placed(
    values: tf.Tensor, chosen: tf.Tensor, index: tf.Tensor, tighter: tf.Tensor
) -> tf.Tensor:
    """Puts tighter bounds of the chosen values in their places.

    Args:
        values: Bounds of all values, `[batch, ...]`.
        chosen: Which values were bounded anew, `[batch, values]`, bool.
        index: What `index_of` made of it.
        tighter: Their bounds, `[rows]`.
    """
    flat = tf.reshape(values, tf.shape(chosen))
    found = tf.tensor_scatter_nd_update(flat, index, tighter)
    return tf.reshape(tf.where(chosen, found, flat), tf.shape(values))
