"""What a norm must answer for its threat to be attacked and bounded."""

import abc

import tensorflow as tf


class Geometry(abc.ABC):
    """The geometry of one norm.

    Attributes:
        is_box: Whether the ball is a box, so that the corners are worst.
        is_sparse: Whether the ball has its corners on the axes, so that the
            steepest moves are of few features.
        features: How many features may move at most, if `sparse` undoes the
            moves of all others; None for any number.
    """

    is_box = False
    is_sparse = False
    features: int | None = None

    @abc.abstractmethod
    def norm(self, rows: tf.Tensor) -> tf.Tensor:
        """The norm along the last axis: `[..., features]` to `[...]`."""

    @abc.abstractmethod
    def dual_norm(self, rows: tf.Tensor) -> tf.Tensor:
        """The largest product with a move of norm 1, likewise."""

    @abc.abstractmethod
    def _draw(self, x, seed):
        """Draws uniformly from the unit ball, in the shape of x."""

    @abc.abstractmethod
    def _steepest(self, x, perturbed, gradient, radius):
        """The maximiser of <d, gradient> over |d / radius| <= 1, in range.

        What the range cuts short, this leaves long.
        """

    @abc.abstractmethod
    def _nearest(self, x, perturbed):
        """The nearest point whose clipping to `box` lies in the set."""

    @abc.abstractmethod
    def reach(
        self,
        coefficients: tf.Tensor,
        down: tf.Tensor,
        up: tf.Tensor,
        scale: tf.Tensor,
    ) -> tf.Tensor:
        """The maximum of `sum(coefficients * d)` over the set of all d.

        Args:
            coefficients: Shape `[..., features]`.
            down: Lower bounds of d; like the next two as `room` returned it,
                in a shape that broadcasts.
            up: Upper bounds of d.
            scale: By what d is divided before its norm, at most 1, is taken.

        Returns:
            Shape `[...]`. Never below the true maximum but for rounding, and
            differentiable.
        """

    @abc.abstractmethod
    def least_move(
        self, gain: tf.Tensor, room: tf.Tensor, level: tf.Tensor
    ) -> tf.Tensor:
        """The d of least norm, in `[0, room]`, with `sum(gain * d)` = level.

        See `hyperplane`. It is the room where that doesn't reach the level.

        Args:
            gain: Shape `[..., features]`, not negative.
            room: The same.
            level: Shape `[..., 1]`, not negative.
        """

    @abc.abstractmethod
    def least_norm(
        self, gain: tf.Tensor, room: tf.Tensor, level: tf.Tensor
    ) -> tf.Tensor:
        """Its norm in float64, `[..., 1]`; never above but for rounding.

        Differentiable, and any number where the room doesn't reach the level.
        """
