"""Linear steps: products, convolutions, normalisation, sums."""

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed.steps import (
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


@step("linear")
def far_away(draw, x):
    """There and back again, for which float32 has no room."""
    far = np.float32(draw.pick("far", [2.0**10, 1e5, 2.0**20]))
    how = draw.pick("how", ["constant", "multiple", "scaled"])

    def run(x):
        if how == "constant":
            return (x + like(x, far)) - like(x, far)
        if how == "multiple":
            return tf.add_n([x, far * x, -far * x])
        return ((x * 64 + like(x, far)) - like(x, far)) / like(x, 64.0)

    return run
