"""What a subdomain is cut at next."""

import functools

import tensorflow as tf

from tfrobust.bounds.dense import Dense
from tfrobust.threats.rows import flat
from tfrobust.verifiers.subdomains import Subdomains

# What a gap below an activation counts against one above when signs are chosen:
# the slope below adapts to the rest, the one above doesn't.
_BELOW = 0.1


def undecided(domains: Subdomains, count: int) -> tf.Tensor:
    """The undecided signs whose lines cost the bound most.

    Where none costs anything, as behind a layer that is switched off, those
    that are furthest from being decided.

    Args:
        domains: The `Subdomains`, whose bound was asked for.
        count: How many.

    Returns:
        Numbers of signs, `[batch, count]`, the costliest first; -1 for none.
    """
    none = tf.zeros([tf.shape(domains.x)[0], count])
    costs, rooms = [none], [none]
    for node in domains.signed:
        lines = domains.watched[node].lines
        coefficients = domains.watched[node].coefficients[:, 0]
        lower, upper = domains.intervals[node.dependent[0]]
        # How far the lines are from the activation, where furthest.
        below, above = _gaps(node, lines, lower, upper)
        gap = tf.where(coefficients > 0, _BELOW * below, -above)
        cost = gap * coefficients
        unstable = (lower < 0) & (upper > 0)
        known = unstable & tf.math.is_finite(cost)
        costs.append(flat(tf.where(known, cost, 0.0)))
        room = tf.minimum(-lower, upper)
        rooms.append(flat(tf.where(unstable, room, 0.0)))
    costs, rooms = tf.concat(costs, axis=1), tf.concat(rooms, axis=1)
    costly = tf.reduce_any(costs > 0, axis=1, keepdims=True)
    # Those that cost nothing come after all that do.
    scores = tf.where(costly, costs, rooms)
    values, places = tf.math.top_k(scores, count)
    return tf.where(values > 0, places - count, -1)


def _gaps(node, lines, lower, upper):
    """How far lines below and above are from an activation, at most.

    At 0, where it is cut, and at both ends.
    """
    slope, below, steep, above = (part[:, 0] for part in lines)
    points = [lower, tf.zeros_like(lower), upper]
    values = [node.run(point) for point in points]
    pairs = list(zip(points, values, strict=True))
    return (
        functools.reduce(tf.maximum, (v - slope * p - below for p, v in pairs)),
        functools.reduce(tf.maximum, (steep * p + above - v for p, v in pairs)),
    )


def next_feature(domains: Subdomains, forms: Dense) -> tf.Tensor:
    """The feature of which the bound depends most on the box, or -1."""
    width = flat(domains.box[1] - domains.box[0])
    fine = width > 1e-6 * (1 + tf.abs(flat(domains.box[0])))
    slope = tf.abs(flat(forms.tensor[:, 0]))
    slope = tf.where(tf.math.is_finite(slope), slope, 0.0)
    gain = width * (1e-6 + slope)
    gain = tf.where(fine, gain, 0.0)
    gain = tf.concat([tf.zeros_like(gain[:, :1]), gain], axis=1)
    return tf.argmax(gain, axis=1) - 1


def halves(signs: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
    """Signs with one more decided, either way.

    Args:
        signs: Those of subdomains, `[batch, signs]`.
        candidates: What to decide, `[batch, count]`; -1 for nothing.

    Returns:
        Shape `[batch * count * 2, signs]`.
    """
    chosen = tf.one_hot(candidates, tf.shape(signs)[1])
    sides = tf.reshape(tf.constant([1.0, -1.0]), [1, 1, 2, 1])
    decided = (
        signs[:, tf.newaxis, tf.newaxis] + sides * chosen[:, :, tf.newaxis]
    )
    return tf.reshape(decided, [-1, tf.shape(signs)[1]])


def best(candidates: tf.Tensor, bounds: tf.Tensor) -> tf.Tensor:
    """The candidate one of whose halves is bounded best.

    What proves one half, or nearly, leaves one to go on with; the larger of the
    smaller bounds, which is often asked for, took twice as many subdomains.

    Args:
        candidates: Numbers of signs, `[batch, count]`; -1 for none.
        bounds: Lower bounds of their halves, `[batch * count * 2]`.

    Returns:
        One of the candidates, `[batch]`.
    """
    pairs = tf.reshape(bounds, [-1, candidates.shape[1], 2])
    # What is proven needs no more.
    pairs = tf.minimum(pairs, 0.0)
    pairs = tf.where(tf.math.is_finite(pairs), pairs, -1e30)
    score = tf.reduce_max(pairs, 2) + 1e-3 * tf.reduce_min(pairs, 2)
    score = tf.where(candidates >= 0, score, -float("inf"))
    place = tf.argmax(score, axis=1)
    return tf.gather(candidates, place, axis=1, batch_dims=1)
