"""Lines below and above an activation."""

from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust.bounds import rounding


class Relaxation(NamedTuple):
    """Two lines that enclose an activation wherever its input may be.

    `lower_slope * z + lower_intercept <= activation(z)` and
    `activation(z) <= upper_slope * z + upper_intercept` for all z within the
    bounds that the lines were made for. Every part has the shape of the
    activation, `[batch, ...]`, or `[batch, forms, ...]` if the forms that
    are bounded have lines of their own. An intercept may be None for 0.
    """

    lower_slope: Any
    lower_intercept: Any
    upper_slope: Any
    upper_intercept: Any

    def loosened(self, node, moved):
        """The same lines, moved apart by what rounding may add.

        Args:
            node: The node of the activation.
            moved: How far rounding may move what it reads; see `Drifts.moved`.
        """
        below, above = (
            0.0 if part is None else part
            for part in (self.lower_intercept, self.upper_intercept)
        )
        # All values of the activation are summed up for each form. Both
        # slopes take part wherever a coefficient is negative: see `pull`.
        summed = 2 * rounding.share(node.size) * (tf.abs(below) + tf.abs(above))
        steepest = tf.maximum(
            tf.abs(self.lower_slope), tf.abs(self.upper_slope)
        )
        apart = tf.stop_gradient((1 + 1e-3) * steepest * moved + summed)
        return self._replace(
            lower_intercept=below - apart, upper_intercept=above + apart
        )

    def pull(self, forms):
        """The smallest that the lines allow: forms of z, and a constant.

        Where a coefficient is negative, the upper line takes the place of the
        lower one. It is added as their difference, which needs fewer products
        than to part the coefficients by sign.

        Args:
            forms: `Forms` of the activation.

        Returns:
            The `Forms`, and the constant, `[*forms]`.
        """
        negative = forms.negative()
        steeper = negative.scaled(self.upper_slope - self.lower_slope)
        slopes = forms.scaled(self.lower_slope).plus(steeper)
        below, gap = self.lower_intercept, self.upper_intercept
        if below is None:
            return slopes, 0.0 if gap is None else negative.dot(gap)
        gap = (0.0 if gap is None else gap) - below
        return slopes, forms.dot(below) + negative.dot(gap)
