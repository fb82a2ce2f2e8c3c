"""Linear steps that normalise."""

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed.steps import (
    channels,
    first_last,
    last_first,
    like,
    need,
    step,
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
