"""Lines around smooth activations."""

import functools

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.activation import Relaxation
from tfrobust.graph import Node

# Below this width a chord's slope drowns in rounding.
_NARROW = 1e-3


def softplus(
    node: Node,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None = None,
) -> Relaxation:
    """Lines around `log(1 + exp(z))`, which is convex."""
    return _convex(tf.math.softplus, tf.sigmoid, lower, upper, alpha)


def elu(
    node: Node,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None = None,
) -> Relaxation:
    """Lines around `max(z, 0) + min(exp(z) - 1, 0)`, which is convex."""

    def slope(z):
        return tf.exp(tf.minimum(z, 0.0))

    return _convex(tf.nn.elu, slope, lower, upper, alpha)


def sigmoid(
    node: Node,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None = None,
) -> Relaxation:
    """Lines around `1 / (1 + exp(-z))`."""
    return _traced_once(_around_sigmoid, lower, upper, alpha)


def tanh(
    node: Node,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None = None,
) -> Relaxation:
    """Lines around `tanh(z)`."""
    return _traced_once(_around_tanh, lower, upper, alpha)


def _traced_once(around, lower, upper, alpha):
    """Lines that are a function in a graph, one for all activations of a shape.

    A recurrent network has five of them for every step, of 140 ops each.
    """
    # An optimised choice is differentiated, which would trace them again.
    if alpha is None and tf.inside_function():
        around = _function(around)
    return around(lower, upper, alpha)


@functools.cache
def _function(around):
    attributes = {"_noinline": True}
    return tf.function(
        around, autograph=False, experimental_attributes=attributes
    )


def _around_sigmoid(lower, upper, alpha):
    def slope(z):
        return tf.sigmoid(z) * tf.sigmoid(-z)

    return _s_shaped(tf.sigmoid, slope, 0.5, lower, upper, alpha)


def _around_tanh(lower, upper, alpha):
    def slope(z):
        # Accurate where 1 - tanh(z)^2 would cancel.
        return 4 * tf.sigmoid(2 * z) * tf.sigmoid(-2 * z)

    return _s_shaped(tf.tanh, slope, 0.0, lower, upper, alpha)


def _convex(function, derivative, lower, upper, alpha):
    """A tangent below, the chord above.

    `alpha` is where the tangent touches, from the lower end to the upper one;
    in the middle by default.
    """
    touch = lower + (0.5 if alpha is None else alpha) * (upper - lower)
    slope = derivative(touch)
    below = function(touch) - slope * touch
    chord, above = _chord(function, lower, upper)
    # On a narrow interval: from the upper end down at the smallest slope.
    narrow = upper - lower < _NARROW
    least = derivative(lower)
    chord = tf.where(narrow, least, chord)
    above = tf.where(narrow, function(upper) - least * upper, above)
    return _widened(slope, below, chord, above, lower, upper)


def _s_shaped(function, derivative, centre, lower, upper, alpha):
    """Lines around a function that is convex below 0 and concave above.

    It is symmetric about `(0, centre)`, so that what encloses it from above
    mirrors what encloses it from below.
    """
    slope, below = _under(function, derivative, lower, upper, alpha)
    mirrored = None if alpha is None else 1 - alpha
    above_slope, above = _under(function, derivative, -upper, -lower, mirrored)
    above = 2 * centre - above
    # On a narrow interval: through the ends, at the smaller of their slopes.
    narrow = upper - lower < _NARROW
    least = tf.minimum(derivative(lower), derivative(upper))
    slope = tf.where(narrow, least, slope)
    below = tf.where(narrow, function(lower) - least * lower, below)
    above_slope = tf.where(narrow, least, above_slope)
    above = tf.where(narrow, function(upper) - least * upper, above)
    return _widened(slope, below, above_slope, above, lower, upper)


def _under(function, derivative, lower, upper, alpha):
    """A line under an S-shaped function: slope and intercept.

    A tangent in the convex part that doesn't pass above the upper end; where
    none of its points is that steep, the chord. The tangent in the middle
    leaves the least area: others are higher at one end, but lower in the mean.
    """
    right = tf.minimum(upper, 0.0)
    safe, limit = tf.minimum(lower, right), right
    top = function(upper)

    def passes(touch):
        reached = function(touch) + derivative(touch) * (upper - touch)
        return reached <= top

    def halve(safe, limit):
        middle = (safe + limit) / 2
        fine = passes(middle)
        return tf.where(fine, middle, safe), tf.where(fine, limit, middle)

    # Bisection for the last safe point: tangents are safe from the left.
    found, _ = tf.while_loop(
        lambda *_: True, halve, (safe, limit), maximum_iterations=24
    )
    last = tf.stop_gradient(tf.where(passes(limit), right, found))
    if alpha is None:
        touch = lower + (upper - lower) / 2
    else:
        touch = lower + alpha * (last - lower)
    # Neither the middle nor rounding may carry it beyond the last.
    touch = tf.minimum(touch, last)
    slope = derivative(touch)
    below = function(touch) - slope * touch
    chord, through = _chord(function, lower, upper)
    flat = (lower >= 0) | (chord <= derivative(lower))
    flat &= upper > 0
    return tf.where(flat, chord, slope), tf.where(flat, through, below)


def _chord(function, lower, upper):
    """Slope and intercept of the line through both ends."""
    width = upper - lower
    width = tf.where(width < _NARROW, 1.0, width)
    slope = (function(upper) - function(lower)) / width
    return slope, function(lower) - slope * lower


def _widened(slope, below, above_slope, above, lower, upper):
    """Moves both lines apart by what rounding may have moved them."""
    size = tf.maximum(tf.abs(lower), tf.abs(upper))
    below -= rounding.APPROXIMATION * (1 + tf.abs(below) + slope * size)
    above += rounding.APPROXIMATION * (1 + tf.abs(above) + above_slope * size)
    return Relaxation(slope, below, above_slope, above)
