"""Activations, steps, and pooling by the largest."""

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed.steps import in_float32, laid_out, like, need, step
from tests.bounds.fuzzed.windows import arranged, spatial, window

_PLAIN = {
    "relu": tf.nn.relu,
    "relu6": lambda x: tf.nn.relu6(4 * x),
    "elu": tf.nn.elu,
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    "softplus": tf.math.softplus,
    "sign": tf.sign,
    "round": tf.round,
    "rint": tf.math.rint,
    "floor": tf.floor,
    "ceil": tf.math.ceil,
    "abs": tf.abs,
    "atan": tf.math.atan,
    "celu": lambda x: (
        tf.maximum(x, 0) + tf.math.expm1(tf.minimum(x, 0) / 0.5) * 0.5
    ),
    "cos": tf.cos,
    "erf": tf.math.erf,
    "erfc": tf.math.erfc,
    "exp": lambda x: tf.exp(tf.minimum(x, like(x, 9.0))),
    "expm1": lambda x: tf.math.expm1(tf.minimum(x, like(x, 9.0))),
    "gelu": tf.nn.gelu,
    "gelu_tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "hard_silu": lambda x: x * (tf.nn.relu6(x + 3) / 6),
    "log": lambda x: tf.math.log(tf.nn.relu(x) + like(x, 0.1)),
    "mish": lambda x: x * tf.tanh(tf.math.softplus(x)),
    "power": lambda x: tf.pow(x, like(x, 3.0)),
    "reciprocal": lambda x: tf.math.reciprocal(tf.nn.relu(x) + like(x, 0.1)),
    "rsqrt": lambda x: tf.math.rsqrt(tf.nn.relu(x) + like(x, 0.1)),
    "selu": tf.nn.selu,
    "silu": lambda x: x * tf.sigmoid(x),
    "scaled elu": lambda x: tf.where(
        x > 0, tf.nn.elu(x), tf.nn.elu(x) * like(x, 0.5)
    ),
    "sin": tf.sin,
    "swish": lambda x: x * tf.sigmoid(x * like(x, 1.5)),
    "softsign": tf.nn.softsign,
    "sqrt": lambda x: tf.sqrt(tf.nn.relu(x) + like(x, 0.1)),
    "square": tf.square,
}
for _name, _function in _PLAIN.items():
    step("curve", _name)(lambda draw, x, function=_function: function)


@step("curve")
def scaled_curve(draw, x):
    """Steep or far from 0, where lines are hardest."""
    name = draw.pick("curve", list(_PLAIN))
    scale = float(draw.pick("scale", [0.01, 5.0, 30.0, 1000.0]))
    shift = float(draw.pick("shift", [0.0, -3.0, 20.0]))
    return lambda x: _PLAIN[name](x * like(x, scale) + like(x, shift))


@step("curve")
def leaky_relu(draw, x):
    slope = float(draw.pick("slope", [0.0, 0.25, 1.0, 1.5, -0.5]))
    if draw.chance("raw"):
        return lambda x: tf.raw_ops.LeakyRelu(features=x, alpha=slope)
    return lambda x: tf.nn.leaky_relu(x, slope)


@step("curve")
def clipping(draw, x):
    low = draw.normal("low", draw.pick("shape", [[], [x.shape[-1]]]), 0.3)
    high = low + draw.positive("width", low.shape)
    if draw.chance("raw", 0.2):
        low, high = low.flat[0], high.flat[0]
        return lambda x: tf.raw_ops.ClipByValue(
            t=x, clip_value_min=like(x, low), clip_value_max=like(x, high)
        )
    if draw.chance("upside down", 0.2):
        low, high = high, low
    return lambda x: tf.maximum(like(x, low), tf.minimum(x, like(x, high)))


@step("curve")
def fake_quantization(draw, x):
    bits = int(draw.pick("num_bits", [2, 3, 4, 8]))
    narrow = draw.chance("narrow_range")
    how = draw.pick("how", ["args", "vars", "channel"])
    shape = [x.shape[-1]] if how == "channel" else []
    need(how != "channel" or x.shape.rank in (1, 2, 4))
    low = -draw.positive("low", shape)
    high = draw.positive("high", shape)
    if draw.chance("from 0", 0.2):
        low = np.zeros_like(low)
    if how == "args":
        return in_float32(
            lambda x: tf.quantization.fake_quant_with_min_max_args(
                x, float(low), float(high), bits, narrow
            )
        )
    name = "_per_channel" if how == "channel" else ""
    name = f"fake_quant_with_min_max_vars{name}"
    return in_float32(
        lambda x: getattr(tf.quantization, name)(x, low, high, bits, narrow)
    )


@step("curve")
def max_pooling(draw, x):
    need(x.shape.rank == 4)
    layout = draw.pick("data_format", ["NHWC", "NHWC", "NCHW"])
    size, strides, padding = window(draw, spatial(x, layout))
    op = draw.pick("op", ["MaxPool"] * 4 + ["MaxPoolV2", "channels"])
    if op == "channels":
        need(x.shape[-1] % 2 == 0)
        return lambda x: tf.nn.max_pool(x, [1, 1, 1, 2], [1, 1, 1, 2], "VALID")
    if not isinstance(padding, str):
        need(op == "MaxPool" and all(p < min(size) for q in padding for p in q))

    def run(x, layout):
        given = dict(
            input=x,
            ksize=arranged(size, layout, 1),
            strides=arranged(strides, layout, 1),
            padding=padding if isinstance(padding, str) else "EXPLICIT",
            data_format=layout,
        )
        if not isinstance(padding, str):
            pads = arranged(padding, layout, [0, 0])
            given["explicit_paddings"] = sum(pads, [])
        return getattr(tf.raw_ops, op)(**given)

    return laid_out(run, layout)


@step("curve")
def max_pooling_3d(draw, x):
    need(x.shape.rank == 5)
    size, strides, padding = window(draw, x.shape[1:4], pads=False)
    return lambda x: tf.nn.max_pool(x, [1, *size, 1], [1, *strides, 1], padding)
