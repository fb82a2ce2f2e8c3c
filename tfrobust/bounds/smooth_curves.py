"""The rules of ops, and of products that are recognised, that are curves.

Bends are the zeros of the second derivative, turns those of the first.
"""

import math

import tensorflow as tf

from tfrobust.bounds import examples_apart as apart
from tfrobust.bounds.record import RULES, Record
from tfrobust.bounds.smooth import Curve
from tfrobust.bounds.smooth_rule import Smooth
from tfrobust.graph import Node

_SQRT_HALF = math.sqrt(0.5)
_SELU = 1.0507009873554805, 1.6732632423543772
_TANH_OF = math.sqrt(2 / math.pi), 0.044715
# Exponents that negative numbers may have.
_WHOLE = range(2, 17)


def _density(z):
    """Of the standard normal distribution."""
    return tf.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _half_erfc(z):
    """Its distribution function."""
    return 0.5 * tf.math.erfc(-z * _SQRT_HALF)


def _selu_slope(z):
    scale, steep = _SELU
    return tf.where(
        z > 0, 0 * z + scale, scale * steep * tf.exp(tf.minimum(z, 0.0))
    )


def _selu(z):
    scale, steep = _SELU
    below = steep * tf.math.expm1(tf.minimum(z, 0.0))
    return scale * (tf.maximum(z, 0.0) + below)


def _silu_slope(z):
    return tf.sigmoid(z) * (1 + z * tf.sigmoid(-z))


def _mish_slope(z):
    gate = tf.tanh(tf.math.softplus(z))
    return gate + z * (1 - gate * gate) * tf.sigmoid(z)


def _inner(z):
    scale, cubed = _TANH_OF
    return scale * (z + cubed * z * z * z)


def _gelu_tanh_slope(z):
    scale, cubed = _TANH_OF
    gate = tf.tanh(_inner(z))
    inner = scale * (1 + 3 * cubed * z * z)
    # At infinity nothing is left of the second term.
    rest = tf.math.multiply_no_nan(z * inner, 1 - gate * gate)
    return (1 + gate) / 2 + rest / 2


def _hard_silu(z):
    return z * tf.clip_by_value(z + 3, 0.0, 6.0) / 6


def _hard_silu_slope(z):
    middle = (2 * z + 3) / 6
    return tf.where(z <= -3, 0.0 * z, tf.where(z >= 3, 1 + 0 * z, middle))


CURVES = {
    "Abs": Curve(tf.abs, tf.sign, turns=(0.0,)),
    "Atan": Curve(tf.math.atan, lambda z: 1 / (1 + z * z), True, (0.0,)),
    "Erf": Curve(
        tf.math.erf,
        lambda z: 2 / math.sqrt(math.pi) * tf.exp(-z * z),
        True,
        (0.0,),
    ),
    "Erfc": Curve(
        tf.math.erfc,
        lambda z: -2 / math.sqrt(math.pi) * tf.exp(-z * z),
        False,
        (0.0,),
    ),
    "Exp": Curve(tf.exp, tf.exp),
    "Expm1": Curve(tf.math.expm1, tf.exp),
    "Log": Curve(tf.math.log, lambda z: 1 / z, False, positive=True),
    "Reciprocal": Curve(
        lambda z: 1 / z, lambda z: -1 / (z * z), positive=True, odd=True
    ),
    "Rsqrt": Curve(
        tf.math.rsqrt, lambda z: -tf.math.rsqrt(z) / (2 * z), positive=True
    ),
    "Selu": Curve(_selu, _selu_slope, True, (0.0,)),
    "Softsign": Curve(
        tf.math.softsign,
        lambda z: 1 / (1 + tf.abs(z)) ** 2,
        True,
        (0.0,),
    ),
    "Sqrt": Curve(
        tf.sqrt, lambda z: 0.5 * tf.math.rsqrt(z), False, positive=True
    ),
    "Square": Curve(tf.square, lambda z: 2 * z, turns=(0.0,)),
}
PRODUCTS = {
    "Gelu": Curve(
        lambda z: z * _half_erfc(z),
        lambda z: _half_erfc(z) + z * _density(z),
        False,
        (-math.sqrt(2), math.sqrt(2)),
        (-0.7517915246935646,),
        spread=1.0,
    ),
    "GeluTanh": Curve(
        lambda z: z * (1 + tf.tanh(_inner(z))) / 2,
        _gelu_tanh_slope,
        False,
        (-1.4185040087908283, 1.4185040087908283),
        (-0.752461422071016,),
        spread=1.0,
    ),
    "HardSilu": Curve(
        _hard_silu,
        _hard_silu_slope,
        False,
        (-3.0, 3.0),
        (-1.5,),
        spread=1.0,
    ),
    "Mish": Curve(
        lambda z: z * tf.tanh(tf.math.softplus(z)),
        _mish_slope,
        False,
        (-2.256376396360793, 1.4905711794854284),
        (-1.1924312145154954,),
        spread=1.0,
    ),
    "Silu": Curve(
        lambda z: z * tf.sigmoid(z),
        _silu_slope,
        False,
        (-2.399357280515468, 2.399357280515468),
        (-1.2784645427610737,),
        spread=1.0,
    ),
}


def _always(curve):
    return lambda node: curve


def _power(node: Node) -> Curve:
    """The curve of a constant exponent, which `_is_power` has seen."""
    exponent = node.constant(1).item()

    def value(z):
        return tf.pow(z, tf.constant(exponent, z.dtype))

    def slope(z):
        return exponent * tf.pow(z, tf.constant(exponent - 1, z.dtype))

    convex = exponent < 0 or exponent >= 1
    if exponent not in _WHOLE:
        return Curve(value, slope, convex, positive=True)
    even = exponent % 2 == 0
    return Curve(value, slope, even, () if even else (0.0,), (0.0,))


def _is_power(node: Node) -> bool:
    """Whether its exponent is one known number; it may not be 0."""
    exponent = node.constant(1)
    known = apart.first(node) and apart.elementwise(node)
    return known and exponent is not None and _fits(exponent)


def _fits(exponent):
    return exponent.size == 1 and 0.01 <= abs(exponent.item()) <= 16


RULES["Pow"] = Record(Smooth(_power, 2), _is_power)
RULES |= {
    name: Record(Smooth(_always(curve)), apart.elementwise)
    for name, curve in CURVES.items()
} | {
    name: Record(Smooth(_always(curve), 3), apart.elementwise)
    for name, curve in PRODUCTS.items()
}
