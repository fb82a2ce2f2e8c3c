"""Linear steps: products, convolutions, normalisation, sums."""

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed.steps import (
    channels,
    first_last,
    laid_out,
    last_first,
    like,
    need,
    step,
)


@step("linear")
def dense(draw, x):
    need(x.shape.rank == 2)
    n, m = x.shape[1], int(draw.pick("units", [1, 2, 3, 4, 5]))
    transpose_b, bias = draw.chance("transpose_b"), draw.chance("bias")
    kernel = draw.weights((n, m))
    kernel = kernel.T if transpose_b else kernel
    shift = draw.normal("bias", (m,))
    how = draw.pick("by", ["BiasAdd", "AddV2", "Add"])

    def run(x):
        y = tf.matmul(x, like(x, kernel), transpose_b=transpose_b)
        if not bias:
            return y
        if how == "BiasAdd":
            return tf.nn.bias_add(y, like(x, shift))
        return getattr(tf.raw_ops, how)(x=y, y=like(x, shift))

    return run


@step("linear")
def batch_matmul(draw, x):
    need(x.shape.rank >= 3)
    adj_x, adj_y = draw.chance("adj_x", 0.3), draw.chance("adj_y")
    n = x.shape[-2 if adj_x else -1]
    leading = draw.pick(
        "leading", [[], [1], [1] * (x.shape.rank - 2), list(x.shape[:-2])]
    )
    op = draw.pick("op", ["BatchMatMulV2", "BatchMatMulV3", "BatchMatMul"])
    matrix = draw.weights((*leading, n, 3))
    matrix = np.swapaxes(matrix, -1, -2) if adj_y else matrix
    also = {"Tout": tf.float32} if op == "BatchMatMulV3" else {}

    def run(x):
        given = {k: x.dtype for k in also}
        return getattr(tf.raw_ops, op)(
            x=x, y=like(x, matrix), adj_x=adj_x, adj_y=adj_y, **given
        )

    return run


@step("linear")
def matmul_constant_first(draw, x):
    rank = x.shape.rank
    need(rank >= 2)
    adj_x, adj_y = draw.chance("adj_x", 0.3), draw.chance("adj_y", 0.3)
    n = x.shape[-1 if adj_y else -2]
    rows = int(draw.pick("rows", [2, 3]))
    leading = draw.pick("leading", [[], [1], list(x.shape[:-2])])
    matrix = draw.weights((*leading, n, rows))
    matrix = matrix if adj_x else np.swapaxes(matrix, -1, -2)
    return lambda x: tf.matmul(
        like(x, matrix), x, transpose_a=adj_x, transpose_b=adj_y
    )


_EQUATIONS = {
    2: [
        "bi,ij->bj", "ij,bi->bj", "bi,ji->bj", "bi,i->bi", "bi,bj->bij",
        "bi,bij->bj", "bi,b->bi", "bi,ij->jb", "bi->bi", "bi,j->bij",
        "...i,ij->...j", "ci,cj->cj", "ib,ij->bj", "bi,cb->ci", "bi,ij->bij",
    ],
    3: [
        "bij,jk->bik", "bij,jk->bki", "bij->bji", "bij->bi", "bij,ij->bi",
        "bij,ik->bkj", "jk,bij->bik", "bij,bjk->bik", "bij->bj",
        "...ij,jk->...ik", "ibj,jk->ibk", "bij,cb->cij", "bii->bi",
        "bij,ij->bij", "bij,i->bj",
    ],
    4: [
        "bhwc,cd->bhwd", "bhwc->bchw", "bhwc->bc", "bhwc,hw->bc",
        "bhwc,dc->bdhw", "bhwc,hwcd->bd",
    ],
}  # fmt: skip


@step("linear")
def einsum(draw, x):
    need(x.shape.rank in _EQUATIONS)
    equation = draw.pick("equation", _EQUATIONS[x.shape.rank])
    sides = equation.split("->")[0].split(",")
    # What x is, is the term of its rank that names the batch first, if any.
    place = max(
        range(len(sides)),
        key=lambda k: (
            len(sides[k].replace("...", "." * (x.shape.rank - 1)))
            == x.shape.rank,
            sides[k][0] in "b.",
            -k,
        ),
    )
    letters = sides[place].replace("...", "." * (x.shape.rank - 1))
    need(len(letters) == x.shape.rank)
    sizes = dict(zip(letters, x.shape, strict=True))
    constants = [
        draw.weights([sizes.get(letter, 2) for letter in side])
        for k, side in enumerate(sides)
        if k != place
    ]

    def run(x):
        operands = [like(x, c) for c in constants]
        operands.insert(place, x)
        return tf.einsum(equation, *operands)

    return run


def _window(draw, sizes, pads=True):
    """Sizes, strides and padding of a window over an image."""
    size = [min(n, int(draw.pick("size", [1, 2, 3]))) for n in sizes]
    strides = [int(draw.pick("stride", [1, 1, 2])) for _ in sizes]
    kinds = ["SAME", "VALID"] + (["EXPLICIT"] if pads else [])
    padding = draw.pick("padding", kinds)
    if padding == "EXPLICIT":
        padding = [[int(draw.pick("pad", [0, 1])) for _ in "ab"] for _ in sizes]
    return size, strides, padding


def _arranged(values, layout, empty):
    """Values of the axes of an image, in a layout with batch and channels."""
    spatial = iter(values)
    return [empty if c in "NC" else next(spatial) for c in layout]


def _padding(padding, layout):
    if isinstance(padding, str):
        return padding
    return _arranged(padding, layout, [0, 0])


def _spatial(x, layout):
    return [n for n, c in zip(x.shape, layout, strict=True) if c not in "NC"]


@step("linear")
def convolution(draw, x):
    need(x.shape.rank == 4)
    layout = draw.pick("data_format", ["NHWC", "NHWC", "NCHW"])
    size, strides, padding = _window(draw, _spatial(x, layout))
    dilations = [1, 1]
    if strides == [1, 1] and draw.chance("dilated", 0.3):
        dilations = [int(draw.pick("dilation", [1, 2])) for _ in "ab"]
    depth = channels(x, layout)
    groups = 2 if depth % 2 == 0 and draw.chance("grouped", 0.2) else 1
    outputs = int(draw.pick("filters", [2, 4]))
    kernel = draw.weights((*size, depth // groups, outputs))
    kernel *= np.float32(np.sqrt(outputs) / 2)

    def run(x, layout):
        return tf.nn.conv2d(
            x,
            like(x, kernel),
            _arranged(strides, layout, 1),
            _padding(padding, layout),
            layout,
            _arranged(dilations, layout, 1),
        )

    return laid_out(run, layout)


@step("linear")
def depthwise(draw, x):
    need(x.shape.rank == 4)
    layout = draw.pick("data_format", ["NHWC", "NHWC", "NCHW"])
    size, strides, padding = _window(draw, _spatial(x, layout))
    strides = [strides[0]] * 2
    dilations = [1, 1]
    if strides == [1, 1] and draw.chance("dilated", 0.3):
        dilations = [int(draw.pick("dilation", [1, 2])) for _ in "ab"]
    multiplier = int(draw.pick("multiplier", [1, 2]))
    kernel = draw.normal("kernel", (*size, channels(x, layout), multiplier))

    def run(x, layout):
        y = tf.nn.depthwise_conv2d(
            x,
            like(x, kernel),
            _arranged(strides, layout, 1),
            _padding(padding, layout),
            layout,
            dilations,
        )
        # TensorFlow aborts the process where a graph adds a bias to that.
        return y if isinstance(padding, str) else -y

    return laid_out(run, layout)


@step("linear")
def convolution_3d(draw, x):
    need(x.shape.rank == 5)
    layout = draw.pick("data_format", ["NDHWC", "NDHWC", "NCDHW"])
    size, strides, padding = _window(draw, _spatial(x, layout), pads=False)
    kernel = draw.weights((*size, channels(x, layout), 2))

    def run(x, layout):
        return tf.nn.conv3d(
            x, like(x, kernel), _arranged(strides, layout, 1), padding, layout
        )

    return laid_out(run, layout)


@step("linear")
def convolution_1d(draw, x):
    need(x.shape.rank == 3)
    layout = draw.pick("data_format", ["NWC", "NCW"])
    size, strides, padding = _window(draw, _spatial(x, layout), pads=False)
    dilation = int(draw.pick("dilation", [1, 1, 2])) if strides == [1] else 1
    kernel = draw.weights((*size, channels(x, layout), 2))

    def run(x, layout):
        return tf.nn.conv1d(
            x, like(x, kernel), strides[0], padding, layout, dilation
        )

    return laid_out(run, layout)


@step("linear")
def average_pooling(draw, x):
    need(x.shape.rank in (4, 5))
    layout = {4: ["NHWC", "NHWC", "NCHW"], 5: ["NDHWC"]}[x.shape.rank]
    layout = draw.pick("data_format", layout)
    size, strides, padding = _window(draw, _spatial(x, layout), pads=False)

    def run(x, layout):
        return tf.nn.avg_pool(
            x,
            _arranged(size, layout, 1),
            _arranged(strides, layout, 1),
            padding,
            layout,
        )

    return laid_out(run, layout)


@step("linear")
def bias_add(draw, x):
    need(x.shape.rank >= 2)
    # A graph takes NCHW from three axes on.
    layout = draw.pick("data_format", ["NHWC", "NCHW"][: x.shape.rank - 1])
    axis = 1 if layout == "NCHW" else -1
    bias = draw.normal("bias", (x.shape[axis],))
    if draw.chance("BiasAddV1", 0.1) and axis == -1:
        return lambda x: tf.raw_ops.BiasAddV1(value=x, bias=like(x, bias))
    return lambda x: tf.raw_ops.BiasAdd(
        value=x, bias=like(x, bias), data_format=layout
    )


@step("linear")
def fused_batch_norm(draw, x):
    need(x.shape.rank == 4)
    op = draw.pick("op", ["V3", "V3", "V2", ""])
    layout = draw.pick("data_format", ["NHWC", "NHWC", "NCHW"])
    training = draw.chance("is_training", 0.3)
    epsilon = draw.pick("epsilon", [1e-3, 0.1])
    shape = (channels(x, layout),)
    scale, offset = draw.normal("scale", shape), draw.normal("offset", shape)
    mean, variance = draw.normal("mean", shape), draw.positive("var", shape)

    def fused(x):
        return getattr(tf.raw_ops, f"FusedBatchNorm{op}")(
            x=x,
            scale=scale,
            offset=offset,
            mean=np.zeros(0, np.float32) if training else mean,
            variance=np.zeros(0, np.float32) if training else variance,
            epsilon=epsilon,
            is_training=training,
            data_format=layout,
        ).y

    def run(x):
        if x.dtype == tf.float32:
            return fused(x)
        x = first_last(x) if layout == "NCHW" else x
        m, v = like(x, mean), like(x, variance)
        if training:
            m, v = tf.nn.moments(x, [0, 1, 2])
        y = tf.nn.batch_normalization(
            x, m, v, like(x, offset), like(x, scale), float(np.float32(epsilon))
        )
        return last_first(y) if layout == "NCHW" else y

    return run


@step("linear")
def normalization(draw, x):
    axis = int(draw.pick("axis", list(range(1, x.shape.rank))))
    shape = [1] * x.shape.rank
    shape[axis] = x.shape[axis]
    if draw.chance("rank 1", 0.3) and axis == x.shape.rank - 1:
        shape = shape[-1:]
    mean, variance = draw.normal("mean", shape), draw.positive("var", shape)
    shift, scale = draw.normal("shift", shape), draw.normal("scale", shape)
    return lambda x: tf.nn.batch_normalization(
        x, like(x, mean), like(x, variance), like(x, shift), like(x, scale), 0.1
    )


@step("linear")
def arithmetic(draw, x):
    """A constant of any shape that broadcasts, on either side."""
    ops = "Add AddV2 Sub Mul RealDiv AddN Maximum Minimum BiasAdd"
    op = draw.pick("op", ops.split()[:-1])
    rank, batch = x.shape.rank, x.shape[0]
    last = x.shape[-1]
    shapes = [[], [1], [last], [1, last], [*x.shape[1:]], [1, *x.shape[1:]]]
    shapes += [[batch, *x.shape[1:]], [batch] + [1] * (rank - 1)]
    shapes += [[1] * (rank - 1) + [last], [1, 1, *x.shape], [2, 1, 1]]
    shapes += [[1, x.shape[1]] + [1] * (rank - 2)]
    if last == 1:
        shapes += [[3], [1, 3], [batch, 3]] * 3
    if op == "AddN":
        shapes = [list(x.shape)]
    shape = draw.pick("shape", shapes)
    first = draw.chance("constant first")
    value = draw.normal("value", shape)
    if op == "RealDiv":
        value = np.where(np.abs(value) < 0.2, np.float32(0.5), value)

    def run(x):
        pair = [like(x, value), x] if first else [x, like(x, value)]
        if op == "AddN":
            return tf.add_n(pair)
        return getattr(tf.raw_ops, op)(x=pair[0], y=pair[1])

    return run


@step("linear")
def one_feature_broadcast_up(draw, x):
    """A value of one feature meets a constant of several."""
    op = draw.pick("op", "AddV2 Sub Mul RealDiv Maximum Minimum".split())
    shape = draw.pick("shape", [[3], [1, 3], [x.shape[0], 3]])
    first = draw.chance("constant first")
    value = draw.normal("value", shape)
    value = np.where(np.abs(value) < 0.2, np.float32(0.5), value)

    def run(x):
        x = x[..., :1]
        pair = [like(x, value), x] if first else [x, like(x, value)]
        return getattr(tf.raw_ops, op)(x=pair[0], y=pair[1])

    return run


@step("linear")
def reduction(draw, x):
    op = draw.pick("op", ["Sum", "Mean"])
    keep = draw.chance("keep_dims")
    rank = x.shape.rank
    count = int(draw.pick("count", [1, 1, 2]))
    axes = draw.rng.choice(np.arange(1, rank), min(count, rank - 1), False)
    axes = [int(a) for a in axes]
    if draw.chance("batch too", 0.08):
        axes[0] = 0
    axes = [a - rank if draw.chance("negative") else a for a in axes]
    draw.log.append(f"axes={axes}")
    axes = axes[0] if len(axes) == 1 and draw.chance("scalar") else axes
    return lambda x: getattr(tf.raw_ops, op)(input=x, axis=axes, keep_dims=keep)


@step("linear")
def negative(draw, x):
    return tf.negative
