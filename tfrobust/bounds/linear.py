"""Ops that are linear in what depends on the network's input."""

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.around import Around, centred


class Linear:
    """How to bound an op that is linear, but for a constant.

    Whatever its name, such an op is its own rule: it is run on the centres of
    intervals, and its gradient carries coefficients backward.

    Args:
        terms: A function of the node: how many terms are summed up for a
            value, forward and, for a coefficient, backward. None for an op
            that only moves values, which is exact.
        weights: Whether its constants are weights, whose magnitudes carry the
            radii of intervals.
        offset: Whether it adds a constant.
        falls: Positions of the inputs in which it falls.
        channelwise: A function of the node: whether it treats every channel,
            the last axis, by itself. None for never.
        magnitude: A function `(node, *radii)` in place of running the op with
            the magnitudes of its weights.
        constants: A function of the node: the magnitudes of the constants that
            take part in its sum, in place of what it adds to zeros.
        pull: A function `(node, rows)` that pulls coefficients back, in place
            of the op's gradient.
        convolution: The `Convolution` that slides a window; None for none.
    """

    linear = True

    def __init__(
        self,
        terms=None,
        weights=False,
        offset=False,
        falls=(),
        channelwise=None,
        magnitude=None,
        constants=None,
        pull=None,
        convolution=None,
    ):
        self._terms, self._weights = terms, weights
        self._offset, self._falls = offset, falls
        self._channelwise = channelwise or (lambda node: False)
        self._magnitude = magnitude or _magnitude
        self._constants = constants or _constants
        self._pull, self._convolution = pull, convolution

    @property
    def moves(self):
        """Whether it only moves values, or changes their signs."""
        return self._terms is None

    @property
    def product(self):
        """Whether it multiplies by constants: of what depends, only one."""
        return self._weights

    def interval(self, node, intervals):
        """The interval of a node from those of its dependent inputs."""
        if self._weights:
            return self._around(node, intervals)
        if self._keeps_radius(node, *intervals):
            (around,) = intervals
            added = rounding.share(0) * self._sizes(node)
            return Around(node.run(around.centre), around.radius + added, False)
        # From where each input contributes its least to where its most.
        ends = [
            pair[::-1] if position in self._falls else pair
            for position, pair in zip(node.positions, intervals, strict=True)
        ]
        least, most = (node.run(*side) for side in zip(*ends, strict=True))
        if self.moves:
            return least, most
        sizes = [rounding.size(*pair) for pair in intervals]
        total = tf.stop_gradient(self._total(node, sizes))
        off = self._off_forward(node) * total
        return least - off, most + off

    def drift(self, node, drifts, intervals):
        """How far rounding moves a node from the exact function it stands for.

        Args:
            node: The node.
            drifts: The drift of each dependent input; None for none.
            intervals: Their intervals.
        """
        if self.moves:
            if all(drift is None for drift in drifts):
                return None
            drifts = [
                tf.zeros_like(lower) if drift is None else drift
                for drift, (lower, _) in zip(drifts, intervals, strict=True)
            ]
            return self._absolute(node, *drifts)
        off = rounding.share(sum(self._terms(node)))
        sums = [
            rounding.size(*pair) + (0.0 if drift is None else drift / off)
            for drift, pair in zip(drifts, intervals, strict=True)
        ]
        total = off * self._total(node, sums)
        if self._offset:
            # All of it is summed up for each function, also in the parts of
            # which functions of single values remember to be the sum.
            total += rounding.share(4 * node.size) * self._sizes(node)
        return tf.stop_gradient(total + rounding.TINY)

    def offset(self, node):
        """What the op makes of zeros, shape `[1, ...]`; None if zeros."""
        if not self._offset or len(node.dependent) == len(node.inputs):
            return None
        return node.kept.value("offset", lambda: _of_zeros(node))

    def factor(self, node, position):
        """By what each channel is multiplied; None if that isn't all."""
        source = node.dependent[position]
        if source.shape != node.shape or not node.shape:
            return None
        if not self._channelwise(node):
            return None
        if not self._weights:
            return -1 if node.positions[position] in self._falls else 1
        return node.kept.value(
            ("factor", position), lambda: self._of_ones(node, position)
        )

    def window(self, node):
        """Strides, kernel and padding of the window that slides, or None."""
        return self._convolution and self._convolution.window(node)

    def pulled_windows(self, node, rows, shape):
        """Pulls coefficients of windows; see `Convolution`."""
        return self._convolution.pulled_windows(node, rows, shape)

    def transposed(self, node, position, rows):
        """Pulls coefficients `[rows, ...]` of the output back to an input."""
        shape = node.dependent[position].shape
        if self._pull:
            pulled = self._pull(node, rows)
        else:
            size = [tf.shape(rows)[0], *shape]
            pulled = self._pulled(node, position, rows, size)
        # In a loop, TensorFlow forgets what constants outside say of shapes.
        pulled.set_shape([None, *shape])
        return pulled

    def _around(self, node, intervals):
        """The interval of a product with weights."""
        off, centres, radii = self._off_forward(node), [], []
        for centre, radius in map(centred, intervals):
            centres.append(centre)
            size = tf.stop_gradient(tf.abs(centre) + radius)
            radii.append(radius + off * size)
        # Rounding may have made of zero a little less, or nothing of little.
        radius = tf.maximum(self._magnitude(node, *radii), rounding.TINY)
        if self._offset:
            radius += off * self._sizes(node)
        return Around(node.run(*centres), radius)

    def _off_forward(self, node):
        """What rounding may add to a value, in the network and in a bound.

        With what a constant that is added next may round, in both.
        """
        forward, _ = self._terms(node)
        return rounding.share(2 * forward + 4)

    def _absolute(self, node, *values):
        """The op without its constant, every coefficient its magnitude."""
        if self._weights:
            return tf.abs(self._magnitude(node, *values))
        total = self._rising(node, values)
        offset = self.offset(node)
        return total if offset is None else total - offset

    def _total(self, node, sizes):
        """The magnitudes of all that is summed up, constants included."""
        if self._weights:
            total = self._absolute(node, *sizes)
            return total + self._sizes(node) if self._offset else total
        total = self._rising(node, sizes)
        # The constants may cancel; three times covers that.
        return total + 3 * self._sizes(node) if self._offset else total

    def _rising(self, node, values):
        """Runs the op as if it fell in none of its inputs."""
        signed = (
            -value if position in self._falls else value
            for position, value in zip(node.positions, values, strict=True)
        )
        return node.run(*signed)

    def _sizes(self, node):
        """The magnitudes of its constants, shape `[1, ...]`."""
        return node.kept.value(
            "sizes", lambda: tf.stop_gradient(self._constants(node))
        )

    def _keeps_radius(self, node, first, *others):
        """Whether it adds a constant to a value of known centre."""
        return (
            not others
            and isinstance(first, Around)
            and first.spare
            and not self.moves
            and self._channelwise(node)
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


def _of_zeros(node):
    offset = node.run(*(tf.zeros([1, *i.shape]) for i in node.dependent))
    offset.set_shape([1, *node.shape])
    return offset


def _constants(node):
    """What it adds to zeros, its constants taken by their magnitudes."""
    zeros = (tf.zeros([1, *i.shape]) for i in node.dependent)
    return tf.abs(node.run(*zeros, constants=tf.abs))


def _magnitude(node, *radii):
    return node.run(*radii, constants=tf.abs)
