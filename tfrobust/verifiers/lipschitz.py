"""Bounds from Lipschitz constants."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust.backend import register
from tfrobust.bounds.dense import Dense
from tfrobust.graph import Trace
from tfrobust.threats import L2, Threat
from tfrobust.tracing import compiled
from tfrobust.types import Model
from tfrobust.verifiers.bounding import Bounding
from tfrobust.verifiers.lipschitz_bounds import (
    Lengths,
    LipschitzBounds,
    lengths_of,
)


@register
class Lipschitz(Bounding):
    """Margins at x, less how fast they can fall times the radius.

    Between two activations a network is a linear function, whose largest
    singular value says how much it can lengthen a move; an activation
    lengthens it by its largest slope. The product over all of them bounds the
    whole, and the last matrix is taken for each pair of classes by itself:
    `z_y - z_j >= (z_y - z_j)(x) - |w_y - w_j| K epsilon`. Singular values are
    those of the whole matrix, in float64, however the layers form it.

    Beside the singular values, which `certify` and `evaluate` work out once,
    it takes one forward pass and as much memory, so it goes where lines are
    too dear, and is as tight on networks trained for it (`objectives.GloRo`).
    On others the product is far too large.

    Args:
        threat: An `L2` threat. Of a radius for each feature the largest
            counts.

    Raises:
        TypeError: If `threat` isn't an `L2` threat.
        NotImplementedError: When called, if the network has an activation
            whose largest slope isn't known, or a layer too large to take the
            singular values of.

    Example:
        `tfr.verifiers.Lipschitz(tfr.threats.L2(0.3))`

    Reference: Leino et al., 2021, arXiv 2102.08452, section 3; Tsuzuku et al.,
    2018, arXiv 1802.04034.
    """

    def __init__(self, threat: Threat) -> None:
        super().__init__(threat)
        self._lengths: Lengths | None = None
        if not isinstance(threat, L2):
            raise TypeError(
                "`threat` must be a tfr.threats.L2: singular values say how "
                f"Euclidean lengths grow. Received: {threat!r}"
            )

    def cost(self, model: Model, shape: Sequence[int]) -> int | None:
        super().cost(model, shape)  # Raises if there is no rule.
        return None

    def settled(self, model: Model, shape: Sequence[int]) -> "Lipschitz":
        def lengths():
            return lengths_of(Trace(model, tf.zeros([1, *shape])))

        found = tf.nest.map_structure(tf.constant, compiled(lengths)())
        return self._replace(_lengths=found)

    def bounds(self, trace: Trace, x: tf.Tensor) -> Any:
        return LipschitzBounds(trace, self.threat, x, self._lengths)

    def lower(self, bounds: Any, specification: Dense) -> tf.Tensor:
        return bounds.lower(specification)
