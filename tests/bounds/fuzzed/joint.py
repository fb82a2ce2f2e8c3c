"""Steps whose values each depend on several: maxima, products, statistics."""

import tensorflow as tf

from tests.bounds.fuzzed.moves import axis_of
from tests.bounds.fuzzed.steps import like, need, step


@step("curve")
def softmax(draw, x):
    scale = float(draw.pick("scale", [0.1, 1.0, 10.0, 100.0]))
    function = draw.pick("op", [tf.nn.softmax, tf.nn.log_softmax])
    need(x.shape.rank > 1)
    return lambda x: like(x, 2.0) * function(x * like(x, scale))


@step("curve")
def largest(draw, x):
    need(x.shape.rank > 1)
    axis = axis_of(draw, x)
    kept = x.shape.rank == 2 or draw.chance("keepdims")
    function = draw.pick("op", [tf.reduce_max, tf.reduce_min])
    return lambda x: function(x, axis, keepdims=kept)


@step("join")
def own_statistics(draw, x):
    """Normalised by them, as layers write it, far from 0 and near."""
    need(x.shape.rank > 1)
    shift = float(draw.pick("shift", [0.0, 3.0, 1e4]))
    constant = float(draw.pick("constant", [1e-6, 1e-3, 0.1]))
    kinds = ["layer", "root mean square", "unit", "hand", "weighted"]
    how = draw.pick("how", kinds)
    scale = draw.normal("gamma", (x.shape[-1],))

    def run(x):
        x = x + like(x, shift)
        mean = tf.reduce_mean(x, -1, keepdims=True)
        if how == "layer":
            square = tf.math.squared_difference(x, mean)
            square = tf.reduce_mean(square, -1, keepdims=True)
            factor = tf.math.rsqrt(square + like(x, constant)) * like(x, scale)
            return x * factor + (like(x, scale) - mean * factor)
        if how == "unit":
            return tf.math.l2_normalize(x, -1, like(x, constant))
        if how == "hand":
            x = x - mean
        if how == "weighted":  # No square, though it is written like one.
            mean = tf.reduce_mean(x * like(x, scale), -1, keepdims=True)
            return x * tf.math.rsqrt(tf.maximum(mean, like(x, constant)))
        square = tf.reduce_mean(x * x, -1, keepdims=True)
        return x * tf.math.rsqrt(square + like(x, constant))

    return run


@step("join")
def self_attention(draw, x):
    need(x.shape.rank == 3)
    n = x.shape[-1]
    kernels = [draw.weights((n, n)) for _ in range(3)]
    additive = draw.chance("masked", 0.3)

    def run(x):
        query, key, value = (
            tf.einsum("bij,jk->bik", x, like(x, kernel)) for kernel in kernels
        )
        scores = tf.matmul(query, key, transpose_b=True)
        if additive:
            scores += like(x, -1e9) * tf.eye(x.shape[1], dtype=x.dtype)
        return tf.matmul(tf.nn.softmax(scores), value)

    return run


COMPARISONS = [tf.greater, tf.greater_equal, tf.less, tf.less_equal]


@step("curve")
def choice(draw, x):
    """A function in pieces, by comparisons of x with constants."""
    edge = float(draw.pick("edge", [0.0, 0.25, -0.5]))
    jump = float(draw.pick("jump", [0.0, 1.0]))
    slope = float(draw.pick("slope", [0.0, -1.5, 3.0]))
    kinds = ["select", "product", "square", "nested", "two steps"]
    how = draw.pick("how", kinds)
    first, second = (draw.pick("comparison", COMPARISONS) for _ in range(2))
    # Many values are then those of the edges.
    clipped = draw.chance("clipped")

    def run(x):
        if clipped:
            x = tf.minimum(tf.maximum(x, like(x, -0.5)), like(x, 0.25))
        c, zero = like(x, edge), tf.zeros_like(x)
        if how == "nested":
            inner = tf.where(second(x, c), like(x, slope) * x, zero + 1)
            return tf.where(first(x, c), x + like(x, jump), inner)
        if how == "two steps":
            steps = [tf.cast(k(x, c), x.dtype) for k in (first, second)]
            return steps[0] * steps[1] + like(x, slope) * steps[0]
        if how == "product":
            return x * tf.cast(x > c, x.dtype) + like(x, slope)
        if how == "square":
            inner = tf.where(x < c + 1, (x - c) * (x - c), x)
            return tf.where(x <= c, zero, inner)
        return tf.where(x > c, x + like(x, jump), like(x, slope) * x)

    return run
