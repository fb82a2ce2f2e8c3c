"""Packed kernels unpacked by TensorFlow alone, as a server does it."""

import numpy as np
import tensorflow as tf

from tfrobust.compression import packing
from tfrobust.tracing import compiled


def decode(packed):
    """Returns the kernel of a `Packed` in ops of TensorFlow.

    A hash of the contents is compared first, so whoever loads a corrupted
    file is refused. The ops are those of one function for every kernel of a
    scheme: a file of many kernels holds them once.
    """
    arrays = packed.arrays
    positions = arrays.get("positions", np.zeros(0, np.uint8))
    kernel = _DECODERS[packed.scheme](
        tf.constant(positions),
        tf.constant(arrays["signs"]),
        tf.constant(arrays["magnitudes"]),
        tf.constant(packed.shape, tf.int64),
        tf.constant(fingerprint(packed)),
    )
    return tf.ensure_shape(kernel, packed.shape)


def fingerprint(packed):
    """The hash, computed outside of any graph, shape `[1, 8]`, uint8."""
    with tf.init_scope():
        arrays = packed.arrays
        positions = arrays.get("positions", np.zeros(0, np.uint8))
        return _fingerprint(
            tf.constant(positions),
            tf.constant(arrays["signs"]),
            tf.constant(arrays["magnitudes"]),
            tf.constant(packed.shape, tf.int64),
        ).numpy()


def _fingerprint(*arrays):
    parts = [
        array
        if array.dtype == tf.uint8
        else tf.reshape(tf.bitcast(array, tf.uint8), [-1])
        for array in arrays
    ]
    return tf.fingerprint(tf.concat(parts, axis=0)[tf.newaxis])


def _decoder(scheme, dtype=tf.uint8):
    """Compiles the decoder of one scheme."""

    def decoder(positions, signs, magnitudes, shape, expected):
        found = _fingerprint(positions, signs, magnitudes, shape)
        intact = tf.debugging.Assert(
            tf.reduce_all(found == expected),
            [
                "A packed kernel of this SavedModel is corrupted: its contents "
                "do not have the hash that was stored with them. Export the "
                "model again."
            ],
        )
        with tf.control_dependencies([intact]):
            size = tf.reduce_prod(shape)
        kept = _kept(scheme, positions, size)
        negative = _bits(signs)[: tf.size(kept)]
        channels = tf.size(magnitudes, tf.int64)
        values = tf.gather(magnitudes, kept % channels)
        values = tf.where(negative, -values, values)
        kernel = tf.scatter_nd(kept[:, tf.newaxis], values, size[tf.newaxis])
        return tf.reshape(kernel, shape)

    return compiled(
        decoder,
        tf.TensorSpec([None], dtype),
        tf.TensorSpec([None], tf.uint8),
        tf.TensorSpec([None], tf.float32),
        tf.TensorSpec([None], tf.int64),
        tf.TensorSpec([1, 8], tf.uint8),
    )


def _kept(scheme, positions, size):
    """Indices of the kept weights, int64."""
    if scheme == packing.SIGNS:
        return tf.range(size)
    if scheme == packing.BITMAP:
        return tf.where(_bits(positions)[:size])[:, 0]
    weight = positions < positions.dtype.max
    steps = tf.cast(positions, tf.int64) + tf.cast(weight, tf.int64)
    return tf.boolean_mask(tf.cumsum(steps) - 1, weight)


def _bits(octets):
    """The bits of bytes, the highest first, as booleans."""
    masks = tf.constant([128, 64, 32, 16, 8, 4, 2, 1], tf.uint8)
    bits = tf.bitwise.bitwise_and(octets[:, tf.newaxis], masks)
    return tf.reshape(tf.cast(bits, tf.bool), [-1])


_DECODERS = {
    packing.SIGNS: _decoder(packing.SIGNS),
    packing.BITMAP: _decoder(packing.BITMAP),
    **{
        scheme: _decoder(scheme, tf.as_dtype(dtype))
        for scheme, dtype in packing.GAPS.items()
    },
}
