"""Lines below and above an activation."""

from typing import Any, NamedTuple


class Relaxation(NamedTuple):
    """Two lines that enclose an activation wherever its input may be.

    `lower_slope * z + lower_intercept <= activation(z)` and
    `activation(z) <= upper_slope * z + upper_intercept` for all z within the
    bounds that the lines were made for. Every part has the shape of the
    activation, `[batch, ...]`, or `[batch, functions, ...]` if the functions
    to be bounded have lines of their own. An intercept may be None for 0.
    """

    lower_slope: Any
    lower_intercept: Any
    upper_slope: Any
    upper_intercept: Any

    def pull(self, coefficients):
        """The smallest that the lines allow: functions of z, and a constant.

        Args:
            coefficients: Functions of the activation, `Dense` or `Patches`.
        """
        return coefficients.relaxed(self)
