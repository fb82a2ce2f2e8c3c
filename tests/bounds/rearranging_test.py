"""Ops that rearrange values are bounded, or refused, attribute by attribute."""

import itertools
import re

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.bounds.record import look_up, problem
from tfrobust.graph import Trace
from tfrobust.verifiers import check_rule

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
VECTOR, SERIES, IMAGE, VOLUME = (4,), (4, 3), (3, 4, 2), (3, 2, 3, 2)
KERNEL = RNG.normal(size=(3, 2, 3, 2)).astype(np.float32)
CUBE = RNG.normal(size=(2, 2, 2, 3, 2)).astype(np.float32)


def spread(x, strides=1, padding="SAME", sizes=None, **how):
    height, width = sizes or (x.shape[1] * strides, x.shape[2] * strides)
    return tf.raw_ops.Conv2DBackpropInput(
        input_sizes=[tf.shape(x)[0], height, width, 3],
        filter=KERNEL,
        out_backprop=x,
        strides=[1, strides, strides, 1],
        padding=padding,
        **how,
    )


def spread_out_volume(x, strides=1, padding="SAME", more=0):
    sizes = [length * strides + more for length in x.shape[1:4]]
    return tf.nn.conv3d_transpose(
        x, CUBE, [tf.shape(x)[0], *sizes, 3], strides, padding
    )


def resized(x, op="ResizeBilinear", size=(5, 7), **how):
    return getattr(tf.raw_ops, op)(images=x, size=size, **how)


NEAREST = "ResizeNearestNeighbor"
BOUNDED = {
    "tile": (lambda x: tf.tile(x, [1, 3, 2]), SERIES),
    "reverse": (lambda x: tf.reverse(x, [-1, 1]), SERIES),
    "roll": (lambda x: tf.roll(x, [1, -2], [1, 2]), SERIES),
    "cumsum": (lambda x: tf.cumsum(x, 1), SERIES),
    "cumsum exclusive": (lambda x: tf.cumsum(x, -1, exclusive=True), SERIES),
    "cumsum reverse": (lambda x: tf.cumsum(x, 1, reverse=True), SERIES),
    "gather": (lambda x: tf.gather(x, [2, 0, 2], axis=1), SERIES),
    "gather a table": (lambda x: tf.gather(x, [[2, 1]], axis=-1), SERIES),
    "broadcast": (
        lambda x: tf.broadcast_to(x[:, :1], [tf.shape(x)[0], 3, 3]),
        SERIES,
    ),
    "bilinear": (resized, IMAGE),
    "bilinear corners": (lambda x: resized(x, align_corners=True), IMAGE),
    "bilinear half": (lambda x: resized(x, half_pixel_centers=True), IMAGE),
    "bilinear down": (lambda x: resized(x, size=(2, 2)), IMAGE),
    "nearest": (lambda x: resized(x, NEAREST), IMAGE),
    "nearest corners": (
        lambda x: resized(x, NEAREST, align_corners=True),
        IMAGE,
    ),
    "nearest half": (
        lambda x: resized(x, NEAREST, half_pixel_centers=True),
        IMAGE,
    ),
    "spread out": (spread, IMAGE),
    "spread out, strides": (lambda x: spread(x, 2), IMAGE),
    "spread out, valid": (
        lambda x: spread(x, 2, "VALID", sizes=(7, 8)),
        IMAGE,
    ),
    "spread out volume": (spread_out_volume, VOLUME),
    "volume, strides": (lambda x: spread_out_volume(x, 2), VOLUME),
    "volume, valid": (lambda x: spread_out_volume(x, 1, "VALID", 1), VOLUME),
    "average of volumes": (
        lambda x: tf.nn.avg_pool3d(x, [2, 1, 2], [1, 1, 2], "SAME"),
        VOLUME,
    ),
    "average, valid": (lambda x: tf.nn.avg_pool3d(x, 2, 1, "VALID"), VOLUME),
}


@pytest.mark.parametrize("name", list(BOUNDED))
def test_what_is_rearranged_is_bounded(name):
    function, shape = BOUNDED[name]
    check_rule(function, shape, low=-2.0, high=2.0, samples=5)


MIXES = "mixes the examples|first axis isn't that of the batch"
REFUSED = {
    "tile": (lambda x: tf.tile(x, [2, 1])[:4], VECTOR, MIXES),
    "reverse": (lambda x: tf.reverse(x, [0]), VECTOR, MIXES),
    "reverse from behind": (lambda x: tf.reverse(x, [-2]), VECTOR, MIXES),
    "roll": (lambda x: tf.roll(x, [1, 1], [1, 0]), VECTOR, MIXES),
    "cumsum": (lambda x: tf.cumsum(x, 0), VECTOR, MIXES),
    "gather": (lambda x: tf.gather(x, [1, 0, 2, 3]), VECTOR, MIXES),
    "gather by example": (
        lambda x: tf.raw_ops.GatherV2(
            params=x, indices=[[0], [1], [2], [0]], axis=1, batch_dims=1
        ),
        VECTOR,
        "batch_dims=1",
    ),
    "gather by the input": (
        lambda x: tf.gather(x, tf.cast(x[0], tf.int32), axis=1),
        VECTOR,
        MIXES,
    ),
    "pick from a table": (
        lambda x: tf.gather(tf.ones([3, 2]), tf.cast(x, tf.int32)),
        VECTOR,
        MIXES,
    ),
    "broadcast": (
        lambda x: tf.broadcast_to(x, [4, tf.shape(x)[0], 4]),
        VECTOR,
        MIXES,
    ),
    "kernel of the input": (
        lambda x: tf.raw_ops.Conv2DBackpropInput(
            input_sizes=[4, 3, 4, 3],
            filter=x[:3, :2, :3],
            out_backprop=tf.ones([4, 3, 4, 2]),
            strides=[1] * 4,
            padding="SAME",
        ),
        (3, 3, 2),
        MIXES,
    ),
    "channels first": (
        lambda x: tf.nn.conv2d_transpose(
            x, KERNEL, [4, 3, 3, 4], 1, "SAME", "NCHW"
        ),
        (2, 3, 4),
        "NCHW|isn't that of the batch",
    ),
    "dilations": (
        lambda x: spread(x, dilations=[1, 2, 2, 1]),
        IMAGE,
        "dilations",
    ),
    "explicit": (
        lambda x: spread(
            x, 1, "EXPLICIT", explicit_paddings=[0, 0, 1, 1, 0, 1, 0, 0]
        ),
        IMAGE,
        "padding='EXPLICIT'",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_mixes_examples_is_refused(name):
    function, shape, sentence = REFUSED[name]
    found = []

    @tf.function(autograph=False)
    def traced(x):
        trace = Trace(lambda x, training: function(x), x)
        found.extend(str(problem(node)) for node in trace.nodes[1:])

    try:
        traced.get_concrete_function(tf.TensorSpec([None, *shape]))
    except NotImplementedError as error:
        found.append(str(error))
    assert re.search(sentence, "\n".join(found)), found


def matrix(function, shape):
    """What a linear function makes of unit vectors."""
    size = int(np.prod(shape))
    found = function(tf.reshape(tf.eye(size), [size, *shape]))
    return np.reshape(found, [size, -1])


@pytest.mark.parametrize("op", ["ResizeBilinear", NEAREST])
@pytest.mark.parametrize("how", [{}, {"align_corners": True}, {"half": True}])
def test_resizing_is_pulled_back_as_it_is_computed(op, how):
    how = {"half_pixel_centers": True} if "half" in how else how
    sizes = [1, 2, 3, 5, 7, 10]
    for before, after in itertools.product(sizes, sizes):
        shape = (before, 2, 1)

        def function(x, after=after):
            return resized(x, op, (after, 3), **how)

        trace = Trace(lambda x, training: function(x), tf.zeros([1, *shape]))
        look_up(trace)
        node = trace.output
        assert problem(node) is None
        eye = tf.reshape(tf.eye(node.size), [node.size, *node.shape])
        pulled = np.reshape(node.rule.vjp(node, 0, eye), [node.size, -1])
        np.testing.assert_allclose(pulled.T, matrix(function, shape), atol=2e-6)
