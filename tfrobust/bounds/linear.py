"""Ops that are linear in what depends on the network's input."""

import tensorflow as tf

from tfrobust.bounds import convolutions
from tfrobust.graph import Node


class Linear:
    """How to bound an op that is linear, but for a constant.

    Whatever its name, such an op is its own rule: it is run on the centres of
    intervals, and its gradient carries coefficients backward.

    Args:
        weights: Whether its constants are weights, whose magnitudes carry the
            radii of intervals. Otherwise it moves, adds or averages values.
        offset: Whether it adds a constant.
        falls: Positions of the inputs in which it falls.
        channelwise: Whether it treats every channel by itself, given constants
            that do.
        magnitude: A function `(node, *radii)` in place of running the op with
            the magnitudes of its weights.
    """

    def __init__(
        self,
        weights=False,
        offset=False,
        falls=(),
        channelwise=False,
        magnitude=None,
    ):
        self._weights, self._offset, self._falls = weights, offset, falls
        self._channelwise = channelwise
        self._magnitude = magnitude or _magnitude

    linear = True

    def interval(self, node, intervals):
        """The interval of a node from those of its dependent inputs."""
        if self._weights:
            centres, radii = zip(*map(_centred, intervals), strict=True)
            # Rounding may have made of zero a little less.
            radius = tf.abs(self._magnitude(node, *radii))
            return Around(node.run(*centres), radius)
        if self._keeps_radius(node, *intervals):
            (around,) = intervals
            return Around(node.run(around.centre), around.radius)
        # From where each input contributes its least to where its most.
        ends = [
            pair[::-1] if position in self._falls else pair
            for position, pair in zip(node.positions, intervals, strict=True)
        ]
        least, most = zip(*ends, strict=True)
        return node.run(*least), node.run(*most)

    def offset(self, node):
        """What the op makes of zeros, shape `[1, ...]`; None if zeros."""
        if not self._offset or len(node.dependent) == len(node.inputs):
            return None
        return node.kept.value("offset", lambda: _of_zeros(node))

    def factor(self, node, position):
        """By what each channel is multiplied; None if that isn't all."""
        source = node.dependent[position]
        if not self._channelwise or source.shape != node.shape:
            return None
        if not self._weights:
            return -1 if node.positions[position] in self._falls else 1
        constants = [i for i in node.inputs if not isinstance(i, Node)]
        if not node.shape or not all(
            _by_channel(constant) for constant in constants
        ):
            return None
        return node.kept.value(
            ("factor", position), lambda: self._of_ones(node, position)
        )

    def transposed(self, node, position, rows):
        """Pulls coefficients `[rows, ...]` of the output back to an input."""
        shape = node.dependent[position].shape
        # What is common needs no gradient, and with it a dozen ops less.
        if convolutions.pulls(node):
            pulled = convolutions.pulled(node, rows)
        elif node.type == "Reshape":
            pulled = tf.reshape(rows, [-1, *shape])
        elif node.type == "MatMul":
            transposed = node.op.get_attr("transpose_b")
            pulled = tf.matmul(rows, node.inputs[1], transpose_b=not transposed)
        else:
            size = [tf.shape(rows)[0], *shape]
            pulled = self._pulled(node, position, rows, size)
        # In a loop, TensorFlow forgets what constants outside say of shapes.
        pulled.set_shape([None, *shape])
        return pulled

    def _keeps_radius(self, node, first, *others):
        """Whether it adds a constant to a value of known centre."""
        return (
            self._channelwise
            and not others
            and isinstance(first, Around)
            and node.dependent[0].shape == node.shape
        )

    def _of_ones(self, node, position):
        """What pulling a one in each channel makes of it."""
        ones = tf.ones([1] * len(node.shape) + [node.shape[-1]])
        factor = self._pulled(node, position, ones, tf.shape(ones))
        return tf.reshape(factor, [-1])

    def _pulled(self, node, position, rows, shape):
        # Linear, so that the gradient is the same everywhere.
        zeros = tf.zeros(shape)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(zeros)
            values = [
                zeros
                if k == position
                else tf.zeros([tf.shape(rows)[0], *given.shape])
                for k, given in enumerate(node.dependent)
            ]
            output = node.run(*values)
        return tape.gradient(output, zeros, output_gradients=rows)


class Around(tuple):
    """An interval, a pair of its ends, that knows its centre and radius.

    A constant that is added next, such as a bias, moves the centre alone.
    """

    def __new__(cls, centre, radius):
        return super().__new__(cls, (centre - radius, centre + radius))

    def __init__(self, centre, radius):
        """Both of shape `[batch, ...]`."""
        self.centre, self.radius = centre, radius


def batch_norm_magnitude(node, radius):
    """|scale / sqrt(variance + epsilon)| times the radius."""
    _, scale, _, _, variance = node.inputs
    epsilon = node.op.get_attr("epsilon")
    return radius * tf.abs(scale * tf.math.rsqrt(variance + epsilon))


def _centred(interval):
    """The centre and radius of an interval."""
    if isinstance(interval, Around):
        return interval.centre, interval.radius
    lower, upper = interval
    centre = (upper + lower) / 2
    return centre, upper - centre


def _of_zeros(node):
    offset = node.run(*(tf.zeros([1, *i.shape]) for i in node.dependent))
    offset.set_shape([1, *node.shape])
    return offset


def _magnitude(node, *radii):
    return node.run(*radii, constants=tf.abs)


def _by_channel(constant):
    """Whether a constant has one value for each channel, or a single one."""
    shape = constant.shape
    return shape.is_fully_defined() and (
        shape.rank < 2 or shape.num_elements() == shape[-1]
    )
