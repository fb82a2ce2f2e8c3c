"""What every verifier that bounds a traced network shares."""

import abc
from collections.abc import Sequence

import tensorflow as tf

from tfrobust import checks
from tfrobust.adversary import Verifier
from tfrobust.bounds.dense import Dense
from tfrobust.graph import Trace
from tfrobust.threats import Threat
from tfrobust.types import Model
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

    Args:
        threat: The `Threat` to bound over.

    Call arguments:
        model: Any callable `model(x, training=False) -> logits`.
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`.
        y: Integer labels, shape `[batch]`.

    Raises:
        NotImplementedError: If an op of the network has no rule.
        TypeError: If `threat` isn't a `Threat`.
        ValueError: If inputs or labels aren't as expected.
    """

    def __init__(self, threat):
        checks.kind(threat, Threat, "threat", "tfr.threats.Linf(0.1)")
        self.threat = threat

    def margins(self, model, x, y):
        x, y = self.threat.checked(x), tf.convert_to_tensor(y)
        if tf.executing_eagerly() and len(x) == 0:
            raise ValueError("`x` must hold at least one example.")
        trace = Trace(model, x)
        large = tf.executing_eagerly() and len(x) * trace.largest**2 > LARGE
        if large:  # Op by op takes longer than to trace and then run it.

            @tf.function(autograph=False)
            def bounded(x, y):
                return self._bounded(Trace(model, x), x, y)

            return bounded.get_concrete_function(x, y)(x, y)
        return self._bounded(trace, x, y)

    def cost(self, model: Model, shape: Sequence[int]) -> int | None:
        found = coverage(model, self, shape)
        if not found.complete:
            raise NotImplementedError(" ".join(found.problems))
        return found.bytes_per_example

    def _bounded(self, trace, x, y):
        y = checks.labels(y, trace.value)
        margins = self._margins(trace, x, margin_functions(y, trace.value))
        true = tf.one_hot(y, trace.value.shape[-1], True, False, dtype=tf.bool)
        return tf.where(true, 0.0, margins)

    @abc.abstractmethod
    def _margins(self, trace, x, functions):
        """Lower bounds on functions of the logits, `[batch, classes]`."""


def margin_functions(y, logits):
    """`logit_y - logit_j` for every class j, as functions of the logits."""
    classes = logits.shape[-1]
    eye = tf.eye(classes)
    return Dense(tf.gather(eye, y)[:, tf.newaxis] - eye)
