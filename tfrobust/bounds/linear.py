"""Ops that are linear in what depends on the network's input."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfrobust.bounds import magnitudes, rounding
from tfrobust.bounds.around import Around, centred
from tfrobust.graph import Node


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
        vjp: A function `(node, flat)`, its vector-Jacobian product in place of
            the op's gradient; see `Linear.vjp`.
        convolution: The `Convolution` that slides a window; None for none.
        summed: A function `(node, *sizes)`: the magnitudes of all that is
            summed up, where more is than the op's coefficients show.

    Example:
        `rule = Linear()  # Of an op that only moves values: see register_rule.`
    """

    linear = True

    def __init__(
        self,
        terms: Callable | None = None,
        weights: bool = False,
        offset: bool = False,
        falls: Sequence[int] = (),
        channelwise: Callable | None = None,
        magnitude: Callable | None = None,
        constants: Callable | None = None,
        vjp: Callable | None = None,
        convolution: Any = None,
        summed: Callable | None = None,
    ) -> None:
        self._terms: Any = terms
        self._weights, self._offset, self._falls = weights, offset, falls
        self._channelwise = channelwise or (lambda node: False)
        self._magnitude = magnitude or magnitudes.magnitude
        self._constants = constants or magnitudes.constants
        self._vjp, self._convolution = vjp, convolution
        self._summed = summed

    @property
    def moves(self) -> bool:
        """Whether it only moves values, or changes their signs."""
        return self._terms is None

    @property
    def product(self) -> bool:
        """Whether it multiplies by constants: of what depends, only one."""
        return self._weights

    def interval(self, node: Node, intervals: list) -> tuple:
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

    def drift(
        self, node: Node, drifts: list, intervals: Any, backward: bool = True
    ) -> tf.Tensor | None:
        """How far rounding moves a node, given its inputs' drifts, if any.

        That covers forms that are pulled back through it, if `backward`.
        """
        if self.moves:
            if all(drift is None for drift in drifts):
                return None
            drifts = [
                tf.zeros_like(lower) if drift is None else drift
                for drift, (lower, _) in zip(drifts, intervals, strict=True)
            ]
            return self._absolute(node, *drifts)
        forward, back = self._terms(node)
        off = rounding.share(forward + back if backward else forward)
        sums = [
            rounding.size(*pair) + (0.0 if drift is None else drift / off)
            for drift, pair in zip(drifts, intervals, strict=True)
        ]
        total = off * self._total(node, sums)
        if self._offset and backward:
            # All of it is summed up for each function, also in the parts of
            # which `Sparse` forms remember to be the sum.
            total += rounding.share(4 * node.size) * self._sizes(node)
        return tf.stop_gradient(total + rounding.TINY)

    def offset(self, node: Node) -> tf.Tensor | None:
        """What the op makes of zeros, shape `[1, ...]`; None if zeros."""
        if not self._offset or len(node.dependent) == len(node.inputs):
            return None
        return node.kept.value("offset", lambda: magnitudes.of_zeros(node))

    def factor(self, node: Node, position: int) -> Any:
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

    def window(self, node: Node) -> tuple | None:
        """Strides, kernel and padding of the window that slides, or None."""
        return self._convolution and self._convolution.window(node)

    def vjp_of_windows(
        self, node: Node, flat: tf.Tensor, shape: Sequence[int]
    ) -> tf.Tensor:
        """The product for coefficients of windows; see `Convolution`."""
        return self._convolution.vjp_of_windows(node, flat, shape)

    def vjp(self, node: Node, position: int, flat: tf.Tensor) -> tf.Tensor:
        """Turns coefficients `[count, *node.shape]` into those of an input."""
        shape = node.dependent[position].shape
        if self._vjp:
            pulled = self._vjp(node, flat)
        else:
            size = [tf.shape(flat)[0], *shape]
            pulled = self._gradient(node, position, flat, size)
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
        radius = tf.abs(self._magnitude(node, *radii)) + rounding.TINY
        if self._offset:
            radius += off * self._sizes(node)
        return Around(node.run(*centres), radius)

    def _off_forward(self, node):
        """What rounding, of a next constant too, may add to value or bound."""
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
        if self._summed:
            return self._summed(node, *sizes)
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
        factor = self._gradient(node, position, ones, tf.shape(ones))
        return tf.reshape(factor, [-1])

    def _gradient(self, node, position, flat, shape):
        # Linear, so that the gradient is the same everywhere.
        zeros = tf.zeros(shape)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(zeros)
            values = [
                zeros
                if k == position
                else tf.zeros([tf.shape(flat)[0], *given.shape])
                for k, given in enumerate(node.dependent)
            ]
            output = node.run(*values)
        return tape.gradient(output, zeros, output_gradients=flat)
