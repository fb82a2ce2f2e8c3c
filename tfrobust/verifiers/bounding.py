"""What every verifier that bounds a traced network shares."""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.bounds import Bounds, rounding
from tfrobust.bounds.dense import Dense
from tfrobust.graph import Trace
from tfrobust.specification import Specification
from tfrobust.threats import Threat
from tfrobust.tracing import compiled
from tfrobust.types import Model, TensorLike
from tfrobust.verifier import Verifier
from tfrobust.verifiers.coverage import coverage

# From how many coefficients on, those of all values of the largest activation,
# bounds aren't worked out op by op.
LARGE = 2**27


class Bounding(Verifier):
    """Bounds the margins of a network from a trace of its ops.

    Works on any callable of logits that TensorFlow can trace and whose ops
    have rules: see `coverage`. Every function and weight is read as it is, so
    gradients of the bounds reach the weights. Called eagerly the network is
    traced each time, inside a `tf.function`, `fit` or `tfr.certify` once.

    A subclass is a constructor, which may set `tighten`, `intersect` and
    `rules` (see `Bounds`), and `lower`.

    Args:
        threat: The `Threat` to bound over.

    Call arguments:
        model: Any callable `model(x, training=False) -> logits`.
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`.
        y: Integer labels, shape `[batch]`, or a `Specification`; of it margins
            are lower bounds of its rows, `[batch, rows]`.

    Raises:
        NotImplementedError: If an op of the network has no rule.
        TypeError: If `threat` isn't a `Threat`.
        ValueError: If inputs or labels aren't as expected.
    """

    tighten = intersect = True
    rules: Any = None

    def __init__(self, threat: Threat) -> None:
        checks.kind(threat, Threat, "threat", "tfr.threats.Linf(0.1)")
        self.threat = threat

    def margins(
        self, model: Model, x: TensorLike, y: TensorLike | Specification
    ) -> tf.Tensor:
        # None is no specification for `traced`.
        checks.argument(
            y is not None, "y", "hold labels or be a tfr.Specification", y
        )
        margins = self.traced(model, x, y, self.lower)
        if isinstance(y, Specification):
            # Of a sum that is rounded to float32.
            return rounding.total([margins, tf.constant(y.offsets)])
        y = tf.reshape(tf.cast(y, tf.int32), [-1])
        true = losses.true_class(y, margins)
        return tf.where(true, 0.0, margins)

    def traced(
        self,
        model: Model,
        x: TensorLike,
        y: TensorLike | Specification | None,
        use: Callable[[Bounds, Dense], Any],
    ) -> Any:
        """Bounds all that the network computes, from one trace.

        Gradients of it reach the weights. It is what objectives need that look
        at activations and margins at once.

        Args:
            model: Any callable `model(x, training=False) -> logits`.
            x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`.
            y: Integer labels, shape `[batch]`, or a `Specification`; None for
                no specification.
            use: Function of the `Bounds` and of the specification, the margins
                as linear forms of the logits. `lower` is one.

        Returns:
            What `use` returned: tensors, nested as you like.

        Example:
            ```
            def use(bounds, specification):
                # What every activation reads, in order.
                widths = [
                    tf.reduce_mean(upper - lower)
                    for lower, upper in bounds.read.values()
                ]
                return verifier.lower(bounds, specification), tf.add_n(widths)

            margins, width = verifier.traced(model, x, y, use)
            ```
        """
        x = self.threat.checked(x)
        checks.fits(x.shape[1:], model)
        if tf.executing_eagerly() and len(x) == 0:
            raise ValueError("`x` must hold at least one example.")
        trace = Trace(model, x)
        large = tf.executing_eagerly() and len(x) * trace.largest**2 > LARGE
        if not large:
            return self._used(trace, x, y, use)
        # Op by op takes longer than to trace and then run it.
        if y is None or isinstance(y, Specification):
            run = compiled(lambda x: self._used(Trace(model, x), x, y, use))
            return run.get_concrete_function(x)(x)
        y = tf.convert_to_tensor(y)
        run = compiled(lambda x, y: self._used(Trace(model, x), x, y, use))
        return run.get_concrete_function(x, y)(x, y)

    def cost(self, model: Model, shape: Sequence[int]) -> int | None:
        found = coverage(model, self, shape)
        if not found.complete:
            raise NotImplementedError(" ".join(found.problems))
        return found.bytes_per_example

    def bounds(self, trace: Trace, x: tf.Tensor) -> Bounds:
        """The `Bounds` of a traced network that `lower` gets."""
        return Bounds(
            trace, self.threat, x, self.tighten, self.intersect, self.rules
        )

    @abc.abstractmethod
    def lower(self, bounds: Bounds, specification: Dense) -> tf.Tensor:
        """Lower bounds on a specification, `[batch, forms]`.

        Args:
            bounds: The `Bounds` of the network.
            specification: `Dense` forms of the logits.
        """

    def _used(self, trace, x, y, use):
        bounds = self.bounds(trace, x)
        if y is None:
            return use(bounds, None)
        if isinstance(y, Specification):
            return use(bounds, Dense(y.matched(trace.value)))
        y = checks.labels(tf.convert_to_tensor(y), trace.value)
        return use(bounds, label_wins(y, trace.value))


def label_wins(y: tf.Tensor, logits: tf.Tensor) -> Dense:
    """The specification that the label has the largest logit.

    That is rows C, one for each class j, such that `C @ logits > 0`:
    `logit_y - logit_j`.

    Args:
        y: Labels, shape `[batch]`.
        logits: Shape `[batch, classes]`.

    Returns:
        `Dense` forms of the logits, `[batch, classes, classes]`.
    """
    classes = logits.shape[-1]
    eye = tf.eye(classes)
    return Dense(tf.gather(eye, y)[:, tf.newaxis] - eye)
