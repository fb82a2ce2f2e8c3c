"""What several ops stand for is recognised whole, or refused op by op."""

import re

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import verifiers
from tfrobust.backend import keras
from tfrobust.bounds.record import look_up, problem
from tfrobust.graph import Trace
from tfrobust.graph.sorting import in_pairs
from tfrobust.threats import Box
from tfrobust.verifiers import check_rule

layers = keras.layers
RNG = np.random.default_rng(0)
SERIES, IMAGE, VOLUME = (5, 3), (6, 5, 2), (4, 4, 4, 2)
MATRIX = RNG.normal(size=(3, 4)).astype(np.float32)
BIAS = RNG.normal(size=4).astype(np.float32)
PAIRS = RNG.normal(size=(6, 6)).astype(np.float32)
KERNEL = RNG.normal(size=(2, 2, 2, 3)).astype(np.float32)
LONG = RNG.normal(size=(2, 3, 2)).astype(np.float32)
CUBE = RNG.normal(size=(2, 2, 2, 2, 2)).astype(np.float32)


def by_rows(x, between=lambda rows: rows, transpose_b=False, bias=False):
    """As Keras does: rows of all examples, a product, examples again."""
    rows = tf.reshape(x, [-1, x.shape[-1]])
    kernel = MATRIX.T if transpose_b else MATRIX
    rows = tf.matmul(rows, kernel, transpose_b=transpose_b)
    rows = between(tf.nn.bias_add(rows, BIAS) if bias else rows)
    return tf.reshape(rows, [tf.shape(x)[0], *x.shape[1:-1], rows.shape[-1]])


def twice(rows):
    return tf.matmul(tf.nn.relu(rows), MATRIX.T)


def in_blocks(x, kernel=KERNEL, crops=None, blocks=None, after=tf.identity):
    cut = tf.space_to_batch(x, [2, 1], [[1, 1], [0, 0]])
    y = after(tf.nn.conv2d(cut, kernel, 1, "VALID"))
    return tf.batch_to_space(y, blocks or [2, 1], crops or [[0, 0], [0, 0]])


def time_first(x, step=lambda x: tf.matmul(x, MATRIX), pack=0, pick=None):
    swapped = tf.transpose(x, [1, 0, 2])
    picked = tf.unstack(swapped) if pick is None else [swapped[k] for k in pick]
    stacked = tf.stack([step(each) for each in picked], pack)
    return tf.transpose(stacked, [1, 0, 2])


BOUNDED = {
    "tensordot": (lambda x: tf.tensordot(x, MATRIX, 1), SERIES),
    "tensordot of more": (
        lambda x: tf.tensordot(x, KERNEL[0, 0], 1),
        (2, 3, 2),
    ),
    "rows": (by_rows, SERIES),
    "rows transposed": (lambda x: by_rows(x, transpose_b=True), SERIES),
    "rows and bias": (lambda x: by_rows(x, bias=True), SERIES),
    "rows of many axes": (lambda x: by_rows(x, bias=True), (1, 2, 1, 2, 2, 3)),
    "rows, curved": (lambda x: by_rows(x, tf.tanh), SERIES),
    "two products": (lambda x: by_rows(x, twice, bias=True), SERIES),
    "dilated": (
        lambda x: tf.nn.convolution(x, KERNEL, dilations=[2, 3]),
        IMAGE,
    ),
    "dilated, same": (
        lambda x: tf.nn.convolution(x, KERNEL, padding="SAME", dilations=2),
        IMAGE,
    ),
    "dilated series": (
        lambda x: tf.nn.convolution(x, LONG, padding="SAME", dilations=2),
        SERIES,
    ),
    "dilated volume": (
        lambda x: tf.nn.convolution(x, CUBE, dilations=2),
        VOLUME,
    ),
    "dilated depthwise": (
        lambda x: in_blocks_of_channels(x),
        IMAGE,
    ),
    "cropped": (lambda x: in_blocks(x, crops=[[1, 0], [0, 1]]), IMAGE),
    "time first": (time_first, SERIES),
    "sorted pairs": (lambda x: in_pairs(tf.tanh(3 * x), 2), (3, 4)),
    "sorted twice": (
        lambda x: in_pairs(in_pairs(tf.matmul(x, PAIRS), -1)[:, ::-1], 1),
        (6,),
    ),
    "some steps": (lambda x: time_first(x, pick=[1, -1, 1]), SERIES),
}


def in_blocks_of_channels(x):
    cut = tf.space_to_batch(x, [2, 2], [[0, 0], [0, 1]])
    y = tf.nn.depthwise_conv2d(cut, KERNEL, [1, 1, 1, 1], "SAME")
    return tf.batch_to_space(y, [2, 2], [[0, 0], [0, 1]])


@pytest.mark.parametrize("name", list(BOUNDED))
def test_what_is_recognised_is_bounded(name):
    function, shape = BOUNDED[name]
    check_rule(function, shape, low=-2.0, high=2.0, samples=5)


@pytest.mark.parametrize("name", ["rows, curved", "dilated", "time first"])
def test_a_fixed_batch_is_no_hindrance(name):
    function, shape = BOUNDED[name]
    x = tf.zeros([4, *shape])
    fixed = tf.function(function, [tf.TensorSpec(x.shape)], autograph=False)
    trace = Trace(lambda x, training: fixed(x), x)
    assert [problem(node) for node in trace.nodes[1:]] == [None] * (
        len(trace.nodes) - 1
    )


@pytest.mark.parametrize("name", ["rows transposed", "cropped", "some steps"])
def test_what_is_recognised_is_pulled_back_as_it_is_computed(name):
    function, shape = BOUNDED[name]
    trace = Trace(lambda x, training: function(x), tf.zeros([1, *shape]))
    look_up(trace)
    size = int(np.prod(shape))
    node, *_ = [n for n in trace.nodes if hasattr(n.op, "function")]
    (given,) = node.dependent
    assert given is trace.input
    forward = node.run(tf.reshape(tf.eye(size), [size, *shape]))
    eye = tf.reshape(tf.eye(node.size), [node.size, *node.shape])
    pulled = np.reshape(node.rule.vjp(node, 0, eye), [node.size, size])
    np.testing.assert_allclose(
        pulled.T, np.reshape(forward, [size, -1]), atol=1e-6
    )


def halves(x):
    return tf.split(x, 2, axis=-1)


def pairs(a, b, c=None, d=None):
    c, d = (a, b) if c is None else (c, d)
    return tf.concat([tf.maximum(a, b), tf.minimum(c, d)], -1)


SORTED = {
    "pairs": (lambda x: pairs(*halves(x)), True),
    "the other way round": (lambda x: pairs(*halves(x)[::-1]), False),
    "least of the other order": (
        lambda x: pairs(*halves(x), *halves(x)[::-1]),
        False,
    ),
    "of two values": (lambda x: pairs(halves(x)[0], halves(-x)[1]), False),
    "of thirds": (lambda x: pairs(*tf.split(x, 3, -1)[:2]), False),
    "of a constant": (lambda x: pairs(halves(x)[0], PAIRS[:3, 0]), False),
    "the larger alone": (lambda x: tf.maximum(*halves(x)), False),
    "of another axis": (
        lambda x: tf.concat(
            [
                tf.maximum(*tf.split(tf.reshape(x, [-1, 2, 3]), 2, 1)),
                tf.minimum(*tf.split(tf.reshape(x, [-1, 2, 3]), 2, 1)),
            ],
            2,
        ),
        False,
    ),
}


@pytest.mark.parametrize("name", list(SORTED))
def test_only_sorted_halves_of_one_value_are_sorted_pairs(name):
    function, expected = SORTED[name]
    x = tf.constant(RNG.uniform(-1, 1, (3, 6)), tf.float32)
    trace = Trace(lambda x, training: function(x), x)
    assert ("MinMax" in [n.type for n in trace.nodes]) == expected
    check_rule(function, (6,), samples=5)


def test_intervals_of_sorted_pairs_are_exact():
    lower = tf.constant([[0.0, 1.0, -1.0, 0.5]])
    threat = Box(tf.constant([[0.1, 2.0, 3.0, 0.0]]), -9.0, 9.0)
    found = []
    verifiers.IBP(threat).traced(
        lambda x, training: in_pairs(x, 1),
        lower,
        None,
        lambda bounds, _: found.append(bounds.intervals[bounds.trace.output]),
    )
    low, high = (np.asarray(end)[0] for end in found[0])
    np.testing.assert_allclose(low, [-0.1, 0.5, -4.0, -1.0], atol=1e-5)
    np.testing.assert_allclose(high, [2.0, 3.0, 0.1, 0.5], atol=1e-5)


MIXES = "mixes the examples|first axis isn't that of the batch"
NEAR_MISSES = {
    "other blocks": (lambda x: in_blocks(x, blocks=[1, 2]), IMAGE, "BatchTo"),
    "a curve between": (
        lambda x: in_blocks(x, after=tf.nn.relu),
        IMAGE,
        "BatchToSpaceND",
    ),
    "a kernel of the input": (
        lambda x: in_blocks(x, kernel=tf.reshape(x[:1, :2, :2], [2, 2, 2, 1])),
        IMAGE,
        "BatchToSpaceND|" + MIXES,
    ),
    "blocks never joined": (
        lambda x: tf.space_to_batch(x, [2, 1], [[0, 0], [0, 0]])[:4],
        IMAGE,
        "SpaceToBatchND",
    ),
    "rows of other lengths": (
        lambda x: tf.reshape(
            tf.matmul(tf.reshape(x, [-1, 1]), [[2.0]]), [-1, 5, 3]
        ),
        SERIES,
        MIXES,
    ),
    "rows never parted": (
        lambda x: tf.matmul(tf.reshape(x, [-1, 3]), MATRIX)[:4],
        SERIES,
        MIXES,
    ),
    "rows parted otherwise": (
        lambda x: tf.reshape(
            tf.matmul(tf.reshape(x, [-1, 3]), MATRIX), [-1, 4, 5]
        ),
        SERIES,
        MIXES,
    ),
    "rows that mix": (
        lambda x: by_rows(x, lambda r: r - tf.reduce_mean(r, 0)),
        SERIES,
        MIXES,
    ),
    "rows that are counted": (
        lambda x: by_rows(
            x, lambda r: r * tf.cast(tf.shape(tf.nn.relu(r))[0], tf.float32)
        ),
        SERIES,
        MIXES,
    ),
    "rows that are counted aside": (
        lambda x: (
            by_rows(x)
            * tf.cast(
                tf.shape(tf.matmul(tf.reshape(x, [-1, 3]), MATRIX))[0]
                // tf.shape(x)[0],
                tf.float32,
            )
        ),
        SERIES,
        MIXES,
    ),
    "rows by example": (
        lambda x: by_rows(x, lambda r: r + np.ones([20, 1], np.float32)),
        SERIES,
        MIXES,
    ),
    "time never behind": (
        lambda x: tf.transpose(x, [1, 0, 2])[:4],
        SERIES,
        MIXES,
    ),
    "steps of two": (
        lambda x: tf.transpose(tf.transpose(x, [1, 0, 2])[1:3], [1, 0, 2]),
        SERIES,
        MIXES,
    ),
    "a stack along the batch": (
        lambda x: tf.stack([x[:, 0], x[:, 1]], 0)[0],
        SERIES,
        MIXES,
    ),
    "axes that turn": (
        lambda x: tf.transpose(
            tf.stack(tf.unstack(tf.transpose(x, [1, 0, 2]))), [2, 0, 1]
        ),
        SERIES,
        MIXES,
    ),
}


@pytest.mark.parametrize("name", list(NEAR_MISSES))
def test_a_near_miss_is_not_recognised(name):
    function, shape, sentence = NEAR_MISSES[name]
    found = []

    @tf.function(autograph=False)
    def traced(x):
        trace = Trace(lambda x, training: function(x), x)
        nodes = [*trace.nodes[1:], *trace.measured]
        found.extend(str(problem(node)) for node in nodes)

    try:
        traced.get_concrete_function(tf.TensorSpec([None, *shape]))
    except NotImplementedError as error:
        found.append(str(error))
    assert re.search(sentence, "\n".join(found)), found


def layer_rows():
    time = layers.TimeDistributed
    yield "dense of a sequence", lambda: layers.Dense(3), SERIES
    yield "dense of an image", lambda: layers.Dense(3), IMAGE
    yield "a layer for each step", lambda: time(layers.Dense(3)), SERIES
    yield "dilations", lambda: layers.Conv2D(2, 2, dilation_rate=2), IMAGE
    yield (
        "causal",
        lambda: layers.Conv1D(2, 2, padding="causal", dilation_rate=2),
        SERIES,
    )
    yield "upsampling", lambda: layers.UpSampling2D(2), IMAGE
    yield "transposed", lambda: layers.Conv2DTranspose(2, 2, 2), IMAGE
    yield "repeated", lambda: layers.RepeatVector(2), (3,)


@pytest.mark.parametrize(
    ("make", "shape"), [pytest.param(m, s, id=n) for n, m, s in layer_rows()]
)
def test_a_layer_of_keras_is_covered(make, shape):
    model = keras.Sequential([keras.Input(shape), make()])
    assert verifiers.coverage(model).problems == []
