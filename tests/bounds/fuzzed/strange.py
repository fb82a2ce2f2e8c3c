"""Steps that mix examples, and ops for which there may be no rule."""

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed.steps import BATCH, like, need, step

_MIXING = {
    "batch mean": lambda x: x - tf.reduce_mean(x, 0, keepdims=True),
    "batch mean without axis": lambda x: x - tf.reduce_mean(x, 0),
    "negative batch sum": lambda x: (
        x + tf.reduce_sum(x, -x.shape.rank, keepdims=True)
    ),
    "all": lambda x: x + tf.reduce_mean(x),
    "batch reversed": lambda x: x[::-1],
    "batch reversed by op": lambda x: tf.reverse(x, [0]),
    "batch rolled": lambda x: tf.roll(x, 1, 0),
    "batch cumulated": lambda x: tf.cumsum(x, 0),
    "batch gathered": lambda x: tf.gather(x, [1, 0, 0]),
    "batch split": lambda x: tf.concat(tf.split(x, BATCH, 0)[::-1], 0),
    "batch unstacked": lambda x: tf.stack(tf.unstack(x, BATCH)[::-1]),
    "first stacked": lambda x: tf.stack([x[0]] * BATCH),
    "batch concatenated": lambda x: tf.concat([x[1:], x[:1]], 0),
    "constant before": lambda x: tf.concat([tf.ones_like(x[:1]), x], 0)[:-1],
    "batch sliced": lambda x: tf.slice(
        tf.concat([x, x], 0), [1] + [0] * (x.shape.rank - 1), tf.shape(x)
    ),
    "softmax over batch": lambda x: tf.nn.softmax(x, 0),
    "gram": lambda x: tf.matmul(tf.matmul(x, x, transpose_b=True), x),
    "batch of axis": lambda x: tf.transpose(
        tf.nn.relu(tf.transpose(x, [1, 0, *range(2, x.shape.rank)])),
        [1, 0, *range(2, x.shape.rank)],
    ),
    "reshaped": lambda x: tf.reshape(
        tf.transpose(tf.reshape(x, [-1, BATCH])), tf.shape(x)
    ),
    "reshaped and summed": lambda x: (
        x + tf.reduce_sum(tf.reshape(x, [1, -1]), 1)
    ),
    "batch size": lambda x: x * tf.cast(tf.shape(x)[0], x.dtype) / 3,
    "moments": lambda x: (
        (x - tf.nn.moments(x, [0])[0]) / tf.sqrt(tf.nn.moments(x, [0])[1] + 1)
    ),
    "batch in space": lambda x: tf.transpose(
        tf.nn.conv1d(
            tf.transpose(
                tf.reshape(x, [1, BATCH, int(np.prod(x.shape[1:]))]), [0, 1, 2]
            ),
            tf.ones([3, int(np.prod(x.shape[1:])), 2], x.dtype),
            1,
            "SAME",
        )[0],
        [0, 1],
    ),
    "examples as features": lambda x: tf.transpose(
        tf.transpose(x[:, :3]) @ tf.ones([3, 3], x.dtype)
    ),
    "outer sum": lambda x: tf.reduce_mean(x[None] + x[:, None], 1),
}
for _name, _function in _MIXING.items():
    step("mixing", _name)(lambda draw, x, function=_function: function)


def _of_each(x):
    return tf.reduce_sum(x, list(range(1, x.shape.rank)))


_PLAIN = {
    "hard sigmoid": lambda x: tf.clip_by_value(x / 6 + 0.5, 0, 1),
    "sine": tf.sin,
    "log softmax": tf.nn.log_softmax,
    "cumsum": lambda x: tf.cumsum(x, -1),
    "cumprod": lambda x: tf.math.cumprod(x, -1),
    "reverse": lambda x: tf.reverse(x, [-1]),
    "roll": lambda x: tf.roll(x, 1, -1),
    "tile": lambda x: tf.tile(x, [1] * (x.shape.rank - 1) + [2]),
    "gather": lambda x: tf.gather(x, [0, 0], axis=-1),
    "lead": lambda x: x - tf.reduce_max(x, -1, keepdims=True),
    "lag": lambda x: x - tf.reduce_min(x, -1, keepdims=True),
    "product": lambda x: x * tf.reduce_prod(x, -1, keepdims=True),
    "sorted": lambda x: tf.sort(x, -1),
    "top": lambda x: tf.math.top_k(x, 1).values,
    "where": lambda x: tf.where(x > 0, x, 0.1 * x),
    "where zeros": lambda x: tf.where(x > 0, tf.ones_like(x), 0 * x),
    "argmax": lambda x: x + tf.cast(tf.argmax(x, 1), x.dtype)[0],
    "compared": lambda x: tf.cast(x > 0.2, x.dtype),
    "to integers": lambda x: tf.cast(tf.cast(4 * x, tf.int32), x.dtype),
    "to half": lambda x: tf.cast(tf.cast(x, tf.float16), x.dtype),
    "to double": lambda x: tf.cast(tf.cast(x, tf.float64) * 2, x.dtype),
    "to bfloat": lambda x: tf.cast(tf.cast(x, tf.bfloat16), x.dtype),
    "floor division": lambda x: x // like(x, 0.3),
    "floor modulus": lambda x: tf.math.floormod(x, like(x, 0.3)),
    "positive power": lambda x: tf.pow(tf.abs(x) + 0.1, like(x, 1.5)),
    "one over": lambda x: 1 / (tf.abs(x) + 1),
    "constant over": lambda x: 2 / (tf.nn.relu(x) + 1),
    "squared difference": lambda x: tf.math.squared_difference(x, like(x, 0.5)),
    "norm": lambda x: x / (tf.norm(x, axis=-1, keepdims=True) + 1),
    "l2 normalize": lambda x: tf.nn.l2_normalize(x + 2, -1),
    "zeros like": lambda x: x + tf.zeros_like(x) + 2 * tf.ones_like(x),
    "shape": lambda x: x + tf.cast(tf.shape(x)[-1], x.dtype),
    "rank": lambda x: x * tf.cast(tf.rank(x), x.dtype),
    "size": lambda x: x * tf.cast(tf.size(x), x.dtype) / 10,
    "one hot": lambda x: tf.one_hot(tf.argmax(x, 1), 3, dtype=x.dtype),
    "broadcast to": lambda x: tf.broadcast_to(
        x[..., :1], [tf.shape(x)[0], *x.shape[1:-1], 3]
    ),
    "broadcast batch": lambda x: tf.broadcast_to(x[:1], tf.shape(x)),
    "no nan": lambda x: tf.math.divide_no_nan(x, like(x, 2.0)),
    "multiply no nan": lambda x: tf.math.multiply_no_nan(x, like(x, 2.0)),
    "two to one": lambda x: (
        tf.complex(x, x).real() if False else tf.math.real(tf.complex(x, x))
    ),
    "map": lambda x: tf.map_fn(lambda r: r * 2, x),
    "while": lambda x: tf.while_loop(
        lambda i, v: i < 2, lambda i, v: (i + 1, v * 1.5), (0, x)
    )[1],
    "cond": lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: 2 * x),
    "numpy": lambda x: tf.ensure_shape(
        tf.numpy_function(lambda v: np.tanh(v), [x], x.dtype), x.shape
    ),
    "lrn": lambda x: tf.nn.local_response_normalization(x),
    "upsampled": lambda x: tf.image.resize(x, [8, 8], "nearest"),
    "bilinear": lambda x: tf.cast(tf.image.resize(x, [6, 6]), x.dtype),
    "patches": lambda x: tf.image.extract_patches(
        x, [1, 2, 2, 1], [1, 1, 1, 1], [1, 1, 1, 1], "VALID"
    ),
    "space to batch": lambda x: tf.nn.conv2d(
        x, tf.ones([2, 2, x.shape[-1], 2], x.dtype), 1, "SAME"
    ),
    "dilation": lambda x: tf.nn.dilation2d(
        x,
        tf.zeros([2, 2, x.shape[-1]], x.dtype),
        [1] * 4,
        "SAME",
        "NHWC",
        [1] * 4,
    ),
    "transposed convolution": lambda x: tf.nn.conv2d_transpose(
        x,
        tf.ones([2, 2, 1, x.shape[-1]], x.dtype),
        [tf.shape(x)[0], 2 * x.shape[1], 2 * x.shape[2], 1],
        2,
    ),
    "image as kernel": lambda x: tf.nn.conv2d(
        tf.ones([BATCH, 4, 4, x.shape[2]], x.dtype), x, 1, "SAME"
    ),
    "statistics": lambda x: (
        x
        + tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.ones(x.shape[-1]),
            offset=tf.ones(x.shape[-1]),
            mean=tf.ones(x.shape[-1]),
            variance=tf.ones(x.shape[-1]),
            is_training=False,
        ).batch_mean
    ),
    "value of one": lambda x: (
        x + tf.reduce_sum(x, list(range(1, len(x.shape))))[..., 0]
    ),
    "sums of each": lambda x: tf.reduce_sum(x, list(range(1, len(x.shape)))),
    "diagonal": lambda x: tf.linalg.diag(x),
    "tensordot": lambda x: tf.tensordot(
        x, tf.ones([x.shape[-1], 2], x.dtype), 1
    ),
    "matrix set diagonal": lambda x: tf.linalg.set_diag(
        x, tf.zeros(tf.shape(x)[:-1], x.dtype)
    ),
    "scatter": lambda x: tf.tensor_scatter_nd_update(
        x, [[0]], tf.zeros([1, *x.shape[1:]], x.dtype)
    ),
    "random": lambda x: x + tf.random.uniform(tf.shape(x), dtype=x.dtype),
    "dropout": lambda x: tf.nn.dropout(x, 0.3),
    "nothing": lambda x: 0 * x,
    "inf": lambda x: tf.maximum(x, like(x, -np.inf)),
    "infinite": lambda x: tf.minimum(x, like(x, np.inf)),
}
_OF_IMAGES = {
    "lrn",
    "upsampled",
    "bilinear",
    "patches",
    "space to batch",
    "dilation",
    "transposed convolution",
    "image as kernel",
    "statistics",
}


def _plain(name, function):
    def maker(draw, x):
        # TensorFlow's convolutions abort the process on other ranks.
        need(name not in _OF_IMAGES or x.shape.rank == 4)
        return function

    step("refused", name)(maker)


for _name, _function in _PLAIN.items():
    _plain(_name, _function)


@step("refused")
def gathered(draw, x):
    axis = int(draw.pick("axis", [-1, 1]))
    batch_dims = int(draw.pick("batch_dims", [0, 1]))
    index = draw.rng.integers(0, x.shape[axis], 3)
    if batch_dims:
        index = np.tile(index, [x.shape[0], 1])
        need(axis == 1)
    return lambda x: tf.gather(x, index, axis=axis, batch_dims=batch_dims)


@step("mixing")
def one_constant_for_each_example(draw, x):
    value = draw.normal("value", [x.shape[0]] + [1] * (x.shape.rank - 1))
    return lambda x: x * like(x, value)
