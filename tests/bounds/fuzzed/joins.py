"""Steps that join values with constants and one another."""

import tensorflow as tf

from tests.bounds.fuzzed.moves import axis_of
from tests.bounds.fuzzed.steps import like, need, step


def _constant_of(draw, x, axis, length=1):
    """A constant to join x with along an axis."""
    shape = list(x.shape)
    shape[axis] = length
    value = draw.normal("constant", draw.pick("of", [shape, [1, *shape[1:]]]))

    def build(x):
        constant = like(x, value)
        if len(value) == 1:
            return tf.broadcast_to(constant, [tf.shape(x)[0], *shape[1:]])
        return constant  # It fits this batch alone.

    return build


@step("join")
def concat_constant(draw, x):
    axis = axis_of(draw, x)
    order = draw.pick("order", ["cx", "xc", "xcx", "cxc"])
    build = _constant_of(draw, x, axis, int(draw.pick("length", [1, 2])))

    def run(x):
        return tf.concat([x if o == "x" else build(x) for o in order], axis)

    return run


@step("join")
def stack_constant(draw, x):
    need(x.shape.rank < 5)
    axis = axis_of(draw, x, 1)
    order = draw.pick("order", ["cx", "xc", "xx", "xcx"])
    build = _constant_of(draw, x, 0, x.shape[0])

    def run(x):
        return tf.stack([x if o == "x" else build(x) for o in order], axis)

    return run


@step("join")
def straight_through(draw, x):
    """A function whose gradient isn't its own."""

    @tf.custom_gradient
    def run(x):
        return tf.sign(x) * like(x, 0.5), lambda g: g

    return run


@step("join")
def residual(draw, x):
    """Two values that depend on the input, one of them through a branch."""
    n = x.shape[-1]
    kernel = draw.weights((n, n))
    inner = draw.pick("inner", [tf.nn.relu, tf.tanh, tf.identity, tf.negative])
    op = draw.pick(
        "op",
        "AddV2 Sub Mul Maximum Minimum RealDiv AddN concat stack "
        "SquaredDifference matmul mean sum one".split(),
    )

    def run(x):
        y = inner(tf.tensordot(x, like(x, kernel), 1))
        y.set_shape(x.shape)
        if op == "AddN":
            return tf.add_n([x, y, x])
        if op == "concat":
            return tf.concat([x, y], -1)
        if op == "stack":
            return tf.stack([x, y, x], 1)
        if op == "matmul":
            return tf.matmul(x, y, transpose_b=True)
        if op == "mean":
            return x + tf.reduce_mean(y, -1, keepdims=True)
        if op == "sum":  # Broadcasts against features, if there are as many.
            return x + tf.reduce_sum(y, -1)
        if op == "one":
            return y[..., :1] - x
        if op == "RealDiv":
            return x / (tf.abs(y) + 1)
        return getattr(tf.raw_ops, op)(x=x, y=y)

    return run


@step("join")
def sorted_pairs(draw, x):
    """As `tfrobust.layers.MinMax`, along any axis, or nearly so."""
    axis = axis_of(draw, x)
    need(x.shape[axis] % 2 == 0)
    order = draw.pick("order", [(0, 1), (1, 0)])
    turned = draw.chance("turned", 0.2)

    def run(x):
        halves = tf.split(x, 2, axis)
        a, b = halves[order[0]], halves[order[1]]
        pair = [tf.maximum(a, b), tf.minimum(b, a)]
        return tf.concat(pair[::-1] if turned else pair, axis)

    return run
