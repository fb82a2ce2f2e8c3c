"""The rules of curves that have a constant."""

import tensorflow as tf

from tfrobust.bounds import examples_apart as apart
from tfrobust.bounds.record import RULES, Record
from tfrobust.bounds.smooth import Curve
from tfrobust.bounds.smooth_rule import Smooth
from tfrobust.graph import Node

_SILU_BEND, _SILU_TURN = 2.399357280515468, -1.2784645427610737


def celu(alpha: float) -> Curve:
    """`max(z, 0) + min(alpha * (exp(z / alpha) - 1), 0)`."""

    def value(z):
        below = alpha * tf.math.expm1(tf.minimum(z, 0.0) / alpha)
        return tf.maximum(z, 0.0) + below

    return Curve(value, lambda z: tf.exp(tf.minimum(z, 0.0) / alpha))


def scaled_elu(alpha: float) -> Curve:
    """`max(z, 0) + alpha * min(exp(z) - 1, 0)`, which has a kink at 0."""

    def value(z):
        below = alpha * tf.math.expm1(tf.minimum(z, 0.0))
        return tf.maximum(z, 0.0) + below

    def slope(z):
        below = alpha * tf.exp(tf.minimum(z, 0.0))
        return tf.where(z > 0, tf.ones_like(z), below)

    return Curve(value, slope, True, (0.0,) if alpha > 1 else ())


def scaled_silu(beta: float) -> Curve:
    """`z / (1 + exp(-beta * z))`."""

    def slope(z):
        gate = tf.sigmoid(beta * z)
        return gate * (1 + beta * z * tf.sigmoid(-beta * z))

    return Curve(
        lambda z: z * tf.sigmoid(beta * z),
        slope,
        False,
        (-_SILU_BEND / beta, _SILU_BEND / beta),
        (_SILU_TURN / beta,),
        spread=1.0,
    )


FAMILIES = {
    "Celu": celu,
    "ScaledElu": scaled_elu,
    "ScaledSilu": scaled_silu,
}


def _rule(family):
    def curve(node: Node) -> Curve:
        return family(node.op.detail)

    return Smooth(curve, 4)


RULES |= {
    name: Record(_rule(family), apart.elementwise)
    for name, family in FAMILIES.items()
}
