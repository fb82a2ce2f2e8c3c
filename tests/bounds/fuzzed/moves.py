"""Steps that move values."""

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed.steps import laid_out, like, need, step


def axis_of(draw, x, more=0, batch=0.0):
    """An axis of x, negative half of the time; the batch's if need be."""
    rank = x.shape.rank + more
    axis = int(draw.pick("axis", list(range(1, rank))))
    if batch and draw.chance("of batch", batch):
        axis = 0
    return axis - rank if draw.chance("negative") else axis


@step("move")
def transpose(draw, x):
    """Any permutation; that of the batch too, if sizes happen to agree."""
    rank = x.shape.rank
    order = [0, *(1 + draw.rng.permutation(rank - 1))]
    if draw.chance("batch too", 0.15):
        order = list(draw.rng.permutation(rank))
    order = [int(a) for a in order]
    draw.log.append(f"order={order}")
    return lambda x: tf.transpose(x, order)


@step("move")
def reshape(draw, x):
    size = int(np.prod(x.shape[1:]))
    shapes = [[size], [size, 1], [1, size], [1, 1, size]]
    shapes += [[k, size // k] for k in (2, 3, 4) if size % k == 0]
    shapes += [[k, size // k, 1] for k in (2, 3, 4) if size % k == 0]
    shapes += [[2, 2, size // 4]] * 2 if size % 4 == 0 else []
    shape = draw.pick("shape", shapes)
    how = draw.pick("batch", ["-1", "-1", "shape", "shape", "static"])
    static = x.shape[0]

    def run(x):
        batch = {"-1": -1, "static": static, "shape": tf.shape(x)[0]}[how]
        return tf.reshape(x, [batch, *shape])

    return run


@step("move")
def expand_dims(draw, x):
    need(x.shape.rank < 5)
    axis = axis_of(draw, x, 1)
    return lambda x: tf.expand_dims(x, axis)


@step("move")
def squeeze(draw, x):
    rank = x.shape.rank
    axes = [a for a in range(1, rank) if x.shape[a] == 1]
    need(axes and rank > 2)
    axes = [int(draw.pick("axis", axes))]
    axes = [a - rank if draw.chance("negative") else a for a in axes]
    return lambda x: tf.squeeze(x, None if len(axes) == 0 else axes)


@step("move")
def pad(draw, x):
    pads = [[0, 0]] + [
        [int(draw.pick("pad", [0, 0, 1])) for _ in "ab"] for _ in x.shape[1:]
    ]
    mode = draw.pick("mode", ["CONSTANT", "CONSTANT", "REFLECT", "SYMMETRIC"])
    value = float(draw.pick("value", [0.0, -0.75, 2.0]))
    if draw.chance("batch too", 0.1):
        pads[0] = [1, 0]
        return lambda x: tf.pad(x, pads)[:-1]
    return lambda x: tf.pad(x, pads, mode, like(x, value))


@step("move")
def unstack(draw, x):
    need(x.shape.rank > 2)
    axis = axis_of(draw, x)
    need(x.shape[axis] <= 4)
    order = draw.pick("then", ["reversed", "first", "sum", "concat"])

    def run(x):
        parts = tf.unstack(x, axis=axis)
        if order == "reversed":
            return tf.stack(parts[::-1], 1)
        if order == "first":
            return parts[0]
        return tf.add_n(parts) if order == "sum" else tf.concat(parts, -1)

    return run


@step("move")
def split(draw, x):
    axis = axis_of(draw, x)
    length = x.shape[axis]
    need(length >= 2)
    sizes = 2
    if length % 2 or draw.chance("SplitV"):
        sizes = [1, length - 1]
    how = draw.pick("then", ["swap", "first", "last"])

    def run(x):
        a, b = tf.split(x, sizes, axis)
        return {"first": a, "last": b}.get(how, tf.concat([b, a, -a], axis))

    return run


@step("move")
def slicing(draw, x):
    begin, size = [0], [-1]
    for length in x.shape[1:]:
        at = int(draw.pick("begin", [0, 0, length // 2]))
        begin.append(at)
        size.append(int(draw.pick("size", [-1, max(1, (length - at) // 2)])))
    if draw.chance("static batch", 0.2):
        size[0] = x.shape[0]
    return lambda x: tf.slice(x, begin, size)


@step("move")
def strided_slice(draw, x):
    rank = x.shape.rank
    indices = [slice(None)]
    for length in x.shape[1:]:
        indices.append(
            draw.pick(
                "index",
                [slice(None)] * 3
                + [
                    slice(None, None, -1),
                    slice(1, None) if length > 1 else slice(None),
                    slice(None, None, 2),
                    slice(-2, None),
                    slice(None, -1) if length > 1 else slice(None),
                    tf.newaxis,
                    0 if rank > 2 else slice(None),
                    -1 if rank > 2 else slice(None),
                ],
            )
        )
    how = draw.pick("how", ["plain"] * 4 + ["ellipsis", "batch stop"])
    if how == "ellipsis":
        return lambda x: x[..., indices[-1]]
    if how == "batch stop":
        indices[0] = slice(0, x.shape[0])
    return lambda x: x[tuple(indices)]


@step("move")
def blocks(draw, x):
    need(x.shape.rank == 4)
    there = draw.chance("space to depth")
    layout = draw.pick("data_format", ["NHWC"] * 3 + ["NCHW"])
    size = int(draw.pick("block", [2, 2, 3]))
    function = tf.nn.space_to_depth if there else tf.nn.depth_to_space
    return laid_out(lambda x, layout: function(x, size, layout), layout)


@step("move")
def repeated(draw, x):
    """Tiles, and values broadcast from one."""
    axis = axis_of(draw, x, batch=0.1)
    count = int(draw.pick("count", [1, 2, 3]))
    multiples = [1] * x.shape.rank
    multiples[axis] = count
    if draw.chance("tile"):
        return lambda x: tf.tile(x, multiples)
    need(axis % x.shape.rank)
    shape = [*x.shape[1:]]
    shape[axis % x.shape.rank - 1] = count

    def run(x):
        one = tf.gather(x, [0], axis=axis)
        return tf.broadcast_to(one, [tf.shape(x)[0], *shape])

    return run


@step("move")
def reordered(draw, x):
    """Reversed, rolled, or picked by constant indices, some twice."""
    axis = axis_of(draw, x, batch=0.1)
    length = x.shape[axis]
    how = draw.pick("how", ["reverse", "roll", "gather", "gather", "table"])
    if how == "reverse":
        return lambda x: tf.reverse(x, [axis])
    if how == "roll":
        return lambda x: tf.roll(x, [2, -1], [axis, x.shape.rank - 1])
    shape = (3,) if how == "gather" else (2, 2)
    index = draw.rng.integers(length, size=shape).tolist()
    return lambda x: tf.gather(x, index, axis=axis)


@step("move")
def same(draw, x):
    """Ops that return what they read."""
    how = draw.pick(
        "op",
        ["identity", "stop", "function", "prevent", "ensure", "check", "cond"],
    )
    if how == "function":
        return tf.function(lambda x: 2 * tf.identity(x), autograph=False)
    return {
        "identity": tf.identity,
        "stop": lambda x: x + tf.stop_gradient(tf.round(x) - x),
        "prevent": lambda x: tf.raw_ops.PreventGradient(input=x),
        "ensure": lambda x: tf.ensure_shape(x, x.shape),
        "check": lambda x: tf.debugging.check_numerics(x, "bad"),
        "cond": lambda x: tf.identity_n([x, 2 * x])[1],
    }[how]
