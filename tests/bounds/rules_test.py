"""An op is bounded under the attributes that its record names, or refused.

Each row is an op with attributes, and what it must come to: bounds that nothing
leaves, or a sentence.
"""

import re

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import threats, verifiers
from tfrobust.bounds import Bounds, rules
from tfrobust.bounds.record import problem
from tfrobust.graph import Trace
from tfrobust.verifiers import check_rule

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
IMAGE, FIRST, VECTOR = (5, 6, 4), (4, 5, 6), (4,)
KERNEL = RNG.normal(size=(3, 2, 4, 2)).astype(np.float32)
GROUPED = RNG.normal(size=(3, 2, 2, 4)).astype(np.float32)
CHANNELS = [RNG.uniform(0.5, 1, 4).astype(np.float32) for _ in range(4)]


def conv(x, data_format="NHWC", padding="SAME", strides=1, dilations=1, k=0):
    return tf.nn.conv2d(
        x, [KERNEL, GROUPED][k], strides, padding, data_format, dilations
    )


def depthwise(x, data_format="NHWC"):
    return tf.nn.depthwise_conv2d(
        x, KERNEL, [1, 1, 1, 1], "SAME", data_format=data_format
    )


def batch_norm(x, data_format="NHWC", is_training=False):
    scale, offset, mean, variance = CHANNELS
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=scale - 0.7,
        offset=offset,
        mean=mean,
        variance=variance,
        is_training=is_training,
        data_format=data_format,
    ).y


def max_pool(
    x, ksize=(1, 2, 3, 1), strides=(1, 2, 1, 1), padding="SAME", **how
):
    return tf.raw_ops.MaxPool(
        input=x, ksize=ksize, strides=strides, padding=padding, **how
    )


def bounded(name, function, shape):
    return pytest.param(function, shape, id=name)


EXPLICIT = [[0, 0], [1, 2], [0, 1], [0, 0]]
BOUNDED = [
    bounded("convolution", conv, IMAGE),
    bounded("strides", lambda x: conv(x, strides=[1, 2, 1, 1]), IMAGE),
    bounded("explicit padding", lambda x: conv(x, padding=EXPLICIT), IMAGE),
    bounded("dilations", lambda x: conv(x, dilations=2), IMAGE),
    bounded("channels first", lambda x: conv(x, "NCHW"), FIRST),
    bounded("channels as many as columns", lambda x: conv(x, "NCHW"), (4,) * 3),
    bounded(
        "channels first, strides",
        lambda x: conv(x, "NCHW", "VALID", [1, 1, 1, 2]),
        FIRST,
    ),
    bounded(
        "channels first, dilations",
        lambda x: conv(x, "NCHW", dilations=2),
        FIRST,
    ),
    bounded("depthwise", depthwise, IMAGE),
    bounded("depthwise, channels first", lambda x: depthwise(x, "NCHW"), FIRST),
    bounded("batch normalisation", batch_norm, IMAGE),
    bounded(
        "batch normalisation first", lambda x: batch_norm(x, "NCHW"), FIRST
    ),
    bounded("the same, square", lambda x: batch_norm(x, "NCHW"), (4, 4, 4)),
    bounded(
        "bias first", lambda x: tf.nn.bias_add(x, CHANNELS[0], "NCHW"), FIRST
    ),
    bounded(
        "factors first", lambda x: x * CHANNELS[0][:, None, None], (4, 4, 4)
    ),
    bounded("max pooling", max_pool, IMAGE),
    bounded(
        "max pooling, valid", lambda x: max_pool(x, padding="VALID"), IMAGE
    ),
    bounded(
        "average pooling first",
        lambda x: tf.nn.avg_pool2d(x, 2, 1, "SAME", "NCHW"),
        FIRST,
    ),
    bounded(
        "a constant in a stack",
        lambda x: tf.stack([x, 2 * tf.ones_like(x)], 1),
        VECTOR,
    ),
    bounded(
        "a constant in front",
        lambda x: tf.stack([tf.zeros_like(x), x], 2),
        VECTOR,
    ),
    bounded(
        "a constant joined",
        lambda x: tf.concat([x, tf.ones([tf.shape(x)[0], 2])], 1),
        VECTOR,
    ),
    bounded(
        "constants added up",
        lambda x: tf.add_n([x, tf.ones_like(x), x]),
        VECTOR,
    ),
    bounded(
        "a padding of its own value",
        lambda x: tf.pad(x, [[0, 0], [1, 1]], constant_values=3.0),
        VECTOR,
    ),
    bounded(
        "maximum, broadcast",
        lambda x: tf.maximum(x[:, :1], [0.2, 0.4, 0.6]),
        VECTOR,
    ),
    bounded(
        "minimum, broadcast",
        lambda x: tf.minimum(x[:, :, None], tf.constant([[0.1, 0.5]])),
        VECTOR,
    ),
    bounded("a sum, broadcast", lambda x: x[:, :1] + [1.0, 2.0, 3.0], VECTOR),
    bounded("a product, broadcast", lambda x: [1.0, -2.0] * x[:, :1], VECTOR),
    bounded("two values, broadcast", lambda x: x[:, :1] - x, VECTOR),
    bounded(
        "a flattening", lambda x: tf.reshape(x, [tf.shape(x)[0], -1]), IMAGE
    ),
    bounded("an ellipsis", lambda x: x[..., 1:3], IMAGE),
    bounded(
        "a matrix from the left",
        lambda x: tf.einsum("io,bi->bo", KERNEL[0, 0], x),
        VECTOR,
    ),
    bounded("a batch of matrices", lambda x: tf.matmul(x, KERNEL[0, 0]), IMAGE),
    bounded(
        "a transposed matrix",
        lambda x: tf.matmul(x, KERNEL[0, 0].T, transpose_b=True),
        VECTOR,
    ),
    bounded(
        "a mean that is kept",
        lambda x: tf.reduce_mean(x, [1, -1], keepdims=True),
        IMAGE,
    ),
    bounded("an axis taken apart", lambda x: tf.unstack(x, axis=1)[2], IMAGE),
    bounded("the second part", lambda x: tf.split(x, 2, axis=-1)[1], IMAGE),
]
MIXES = "mixes the examples|first axis isn't that of the batch"
REFUSED = [
    (lambda x: batch_norm(x, is_training=True), IMAGE, "is_training=True"),
    (lambda x: x - tf.reduce_mean(x, 0), VECTOR, MIXES),
    (lambda x: x / tf.cast(tf.shape(x)[0], tf.float32), VECTOR, MIXES),
    (lambda x: x / tf.cast(tf.size(x), tf.float32), VECTOR, MIXES),
    (lambda x: max_pool(x, (1, 1, 1, 2), (1, 1, 1, 2)), IMAGE, "ksize"),
    (
        lambda x: max_pool(
            x, padding="EXPLICIT", explicit_paddings=[0, 0, 1, 1, 0, 0, 0, 0]
        ),
        IMAGE,
        "padding='EXPLICIT'",
    ),
    (lambda x: tf.nn.max_pool2d(x, 2, 1, "SAME", "NCHW"), FIRST, "ksize|NCHW"),
    (
        lambda x: tf.nn.bias_add(conv(x, "NCHW"), CHANNELS[0][:2]),
        (4, 5, 2),
        "another axis for the channels",
    ),
    (lambda x: conv(x, padding=EXPLICIT, k=1), IMAGE, "groups of channels"),
    (lambda x: tf.linalg.matmul(x, x, transpose_a=True), VECTOR, MIXES),
    (lambda x: tf.reshape(x, [-1, 2]), VECTOR, MIXES),
    (lambda x: tf.transpose(x), VECTOR, MIXES),
    (lambda x: x[::-1], VECTOR, MIXES),
    (lambda x: x[:1], VECTOR, MIXES),
    (lambda x: x[..., :4, :2], VECTOR, MIXES),
    (lambda x: x + RNG.normal(size=(4, 4)).astype(np.float32), VECTOR, MIXES),
    (lambda x: tf.concat([x, x], 0), VECTOR, MIXES),
    (lambda x: tf.stack([x, x], 0)[0], VECTOR, MIXES),
    (
        lambda x: tf.einsum(
            "bi,bo->bo", RNG.normal(size=(4, 3)).astype(np.float32), x
        ),
        VECTOR,
        MIXES,
    ),
    (lambda x: tf.einsum("bb->b", x)[:, None], VECTOR, MIXES),
    (lambda x: x[:, None] * x, VECTOR, MIXES),
    (lambda x: tf.cast(tf.cast(x, tf.float16), tf.float32), VECTOR, "Cast"),
    (tf.math.erfinv, VECTOR, "no rule to bound the op Erfinv"),
    (lambda x: tf.map_fn(tf.abs, x), VECTOR, "no rule|known only when"),
]


@pytest.mark.parametrize(("function", "shape"), BOUNDED)
def test_what_a_record_names_is_bounded(function, shape):
    check_rule(function, shape, low=-2.0, high=2.0, samples=5)


@pytest.mark.parametrize(
    ("function", "shape", "sentence"), REFUSED, ids=range(len(REFUSED))
)
@pytest.mark.parametrize("inside", ["eager", "graph"])
def test_what_no_record_names_is_refused(function, shape, sentence, inside):
    x, y = tf.fill([4, *shape], 0.5), tf.zeros([4], tf.int32)
    size = tf.size(function(x)).numpy() // 4

    def model(x, training=False):
        return tf.matmul(
            tf.reshape(function(x), [-1, size]), tf.ones([size, 3])
        )

    verifier = verifiers.CROWN(threats.Linf(0.1))

    def margins(x, y):
        return verifier.margins(model, x, y)

    if inside == "graph":
        margins = tf.function(margins, autograph=False)
    with pytest.raises(NotImplementedError, match=sentence):
        margins(x, y)


FIXED = tf.constant(RNG.normal(size=(4, 4)), tf.float32)


@tf.function(input_signature=[tf.TensorSpec([4, 4])], autograph=False)
def for_four(x):
    """As a SavedModel of a fixed batch has it."""
    return x + FIXED


@tf.function(input_signature=[tf.TensorSpec([4, 4])], autograph=False)
def added_for_four(x):
    return tf.add_n([x, FIXED])


@tf.function(input_signature=[tf.TensorSpec([4, 4])], autograph=False)
def weighed_for_four(x):
    return tf.einsum("bi,bo->bo", FIXED, x)


def with_mean(x):
    scale, offset, mean, variance = CHANNELS
    found = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=scale,
        offset=offset,
        mean=mean,
        variance=variance,
        is_training=False,
    )
    return found.y + found.batch_mean


def halved(x):
    x = tf.matmul(tf.cast(x, tf.float16), tf.ones([4, 3], tf.float16))
    return tf.cast(x, tf.float32)


# What comes after these ops would be refused as well, for other reasons.
BLAMED = [
    (lambda x: x[:2], VECTOR, "StridedSlice .*mixes"),
    (lambda x: x[::2], VECTOR, "StridedSlice .*mixes"),
    (weighed_for_four, VECTOR, "Einsum .*mixes"),
    (lambda x: tf.concat([x, x], -2), VECTOR, "ConcatV2 .*mixes"),
    (lambda x: tf.reshape(x, [4, 4]), VECTOR, "Reshape .*mixes"),
    (for_four, VECTOR, "AddV2 .*mixes"),
    (added_for_four, VECTOR, "AddN .*mixes"),
    (with_mean, IMAGE, "FusedBatchNormV3 .*is read at its output 1"),
    (halved, VECTOR, "MatMul .*computes in (float16|half)"),
]


@pytest.mark.parametrize(
    ("function", "shape", "sentence"), BLAMED, ids=range(len(BLAMED))
)
def test_the_op_at_fault_is_named(function, shape, sentence):
    trace = Trace(lambda x, training: function(x), tf.fill([4, *shape], 0.5))
    found = [str(problem(node)) for node in trace.nodes[1:]]
    assert re.search(sentence, "\n".join(found)), found


def test_of_what_mixes_examples_nothing_that_follows_is_blamed():
    def model(x, training=False):
        mixed = tf.nn.relu(2 * x[::-1] + 1)
        return tf.math.lgamma(x) + mixed @ tf.ones([4, 4])

    with pytest.raises(NotImplementedError) as found:
        verifiers.IBP(threats.Linf(0.1)).margins(
            model, [[0.5] * 4] * 4, [0] * 4
        )
    named = re.findall("op (\\w+) at", str(found.value))
    assert sorted(named) == ["Lgamma", "StridedSlice"]


def test_a_linear_network_with_channels_first_is_bounded_exactly():
    def network(x, training=False):
        units = tf.reshape(conv(x, "NCHW"), [-1, 32])
        return tf.matmul(units, RNG_MATRIX)

    x = RNG.uniform(0.3, 0.7, (2, 4, 4, 4)).astype(np.float32)
    zero = network(tf.zeros([1, 4, 4, 4]))
    eye = tf.reshape(tf.eye(64), [64, 4, 4, 4])
    slopes = (network(eye) - zero).numpy().astype(float)
    logits = network(x).numpy().astype(float)
    spread = np.sum(np.abs(slopes[:, :1] - slopes), axis=0)
    exact = logits[:, :1] - logits - 0.1 * spread
    for kind in (verifiers.IBP, verifiers.CROWN):
        found = kind(threats.Linf(0.1)).margins(network, x, [0, 0])
        assert np.all(found <= exact)
        np.testing.assert_allclose(found, exact, atol=1e-2)


RNG_MATRIX = RNG.normal(size=(32, 3)).astype(np.float32)


def test_a_spike_that_a_stack_with_a_constant_hides_is_found():
    width, place = 0.01, 0.631

    def network(x, training=False):
        edges = (tf.nn.relu(x - place - k * width) for k in (-1, 0, 1))
        left, top, right = edges
        spike = (left - 2 * top + right) / width
        value = (3 - 1.6 * spike)[:, 0]
        return tf.stack([value, 2 * tf.ones_like(value)], 1)

    threat, x = threats.Linf(0.3), np.array([[0.5]], np.float32)
    for kind in (verifiers.IBP, verifiers.CROWN, verifiers.FastLin):
        assert kind(threat).margins(network, x, [0])[0, 1] < -0.6
    found = verifiers.BranchAndBound(threat, timeout=20.0)
    assert found.answer(network, x, np.array([0])).verdict == ["falsified"]


def test_an_attribute_without_a_name_is_refused(monkeypatch):
    record = rules.RULES["LeakyRelu"]
    unnamed = type(record)(record.rule, record.apart)
    monkeypatch.setitem(rules.RULES, "LeakyRelu", unnamed)
    with pytest.raises(NotImplementedError, match="no rule for alpha=0.2"):
        check_rule(tf.nn.leaky_relu, VECTOR)


def test_a_rule_of_the_user_serves_every_verifier(monkeypatch):
    monkeypatch.setattr(rules, "RULES", rules.RULES)

    def ends(node, lower, upper, alpha=None):
        flat = tf.zeros_like(lower)
        return verifiers.Relaxation(
            flat, node.run(lower), flat, node.run(upper)
        )

    rule = verifiers.Activation(ends, curved=True)
    try:
        verifiers.register_rule("Asinh", rule)
        check_rule(tf.math.asinh, (3,), samples=5)
        with pytest.raises(ValueError, match="Asinh has a rule"):
            verifiers.register_rule("Asinh", rule)
    finally:
        rules.RULES.pop("Asinh")
    with pytest.raises(ValueError, match="type of an op of TensorFlow"):
        verifiers.register_rule("Softsine", rule)


def test_a_rule_that_comes_after_a_trace_serves_it_too(monkeypatch):
    monkeypatch.setattr(rules, "RULES", rules.RULES)
    threat, x = threats.Linf(0.1), tf.constant([[0.3, 0.6]])
    trace = Trace(lambda x, training: tf.math.asinh(x), x)
    with pytest.raises(NotImplementedError, match="no rule to bound"):
        Bounds(trace, threat, x)
    steep = verifiers.Activation(
        lambda node, lower, upper, alpha=None: verifiers.Relaxation(
            0 * lower, node.run(lower), 0 * lower, node.run(upper)
        )
    )
    verifiers.register_rule("Asinh", steep)
    try:
        lower, upper = Bounds(trace, threat, x).intervals[trace.output]
    finally:
        rules.RULES.pop("Asinh")
    ends = (np.array([0.2, 0.5]), np.array([0.4, 0.7]))
    for found, z in zip((lower, upper), ends, strict=True):
        np.testing.assert_allclose(found[0], np.arcsinh(z), rtol=1e-6)


def test_a_wrong_rule_of_the_user_is_caught(monkeypatch):
    def through_zero(node, lower, upper, alpha=None):
        half = tf.fill(tf.shape(lower), 0.5)
        return verifiers.Relaxation(half, None, half, None)

    rule = verifiers.Activation(through_zero, curved=True)
    verifiers.register_rule("Asinh", rule)
    try:
        with pytest.raises(ValueError, match="proves a margin"):
            check_rule(tf.math.asinh, (3,))
    finally:
        rules.RULES.pop("Asinh")


def test_a_function_that_mixes_examples_is_caught():
    with pytest.raises(ValueError, match="mixes the examples"):
        check_rule(lambda x: x - tf.reduce_mean(x, 0), (3,))


@pytest.mark.parametrize(("far", "small"), [(1e20, 1e-20), (1e10, 1e-29)])
def test_a_chord_too_flat_for_float32_is_still_above(far, small):
    def model(x, training=False):
        hinge = tf.nn.relu(tf.minimum(x, np.float32(small)))
        return tf.concat([0.5 - np.float32(1 / small) * hinge, 0 * x], axis=1)

    threat = threats.Linf(1.4 * far, -far, far)
    x = np.float32([[-far / 2]])
    for kind in (verifiers.CROWN, verifiers.CROWNIBP, verifiers.FastLin):
        margins = kind(threat).margins(model, x, [0])
        assert margins[0, 1] <= -0.49
