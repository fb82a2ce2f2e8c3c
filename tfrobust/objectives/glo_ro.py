"""Globally robust networks."""

import math
from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.backend import register
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.propagation import sources
from tfrobust.bounds.record import look_up
from tfrobust.graph import Trace
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.threats import L2
from tfrobust.threats.rows import flat
from tfrobust.types import Amount, Model, TensorLike
from tfrobust.verifiers.segments import activations, estimated, slope_of


@register
class GloRo(Objective):
    """Training for the certificates of `verifiers.Lipschitz`.

    With the class j of the largest logit and Lipschitz constants K of the
    differences of logits, `bottom = max_{i != j} z_i + epsilon K_ji` is how
    large another logit can get while z_j stays. The loss is that of the logits
    plus `weight * log(1 + exp(bottom) / sum(exp(z)))`: with weight 1 and cross
    entropy that is the cross entropy of all classes and `bottom` as one more
    (GloRo), larger weights are those of its TRADES form. The constants are
    estimated by power iteration on one example, which costs little beside a
    batch. It logs `gloro_accuracy`, on how many examples the label leads by
    more than the estimate: no certificate, which is `Lipschitz`'s to give.

    Args:
        threat: The `L2` threat.
        weight: Weight of the certificate, not negative, or a schedule of it.
        iterations: Of the power method for each matrix in a step, each time
            from another start.

    Raises:
        TypeError: If `threat` isn't an `L2` threat.
        ValueError: If an argument is out of its range.
        NotImplementedError: In training, if an activation's largest slope
            isn't known.

    Example:
        `GloRo(tfr.threats.L2(0.33))`

    Reference: Leino et al., 2021, arXiv 2102.08452, section 3 and appendix B.
    """

    reports = ("gloro_accuracy",)

    of_classes = True

    def __init__(self, threat: L2, weight: Amount = 1.0, iterations: int = 10):
        checks.kind(threat, L2, "threat", "tfr.threats.L2(0.3)")
        checks.amount(weight, "weight", low=0)
        checks.count(iterations, "iterations")
        self.threat, self.weight = threat, weight
        self.iterations = iterations

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        x = self.threat.checked(x)
        logits = model(x, training=True)
        labels, _ = losses.class_labels(y, logits)
        best = tf.argmax(logits, axis=1, output_type=tf.int32)
        radius = tf.reduce_max(flat(self.threat.radii(x)), axis=1)
        constants = pair_constants(model, x, self.iterations, self.step)
        reach = tf.gather(constants, best)
        others = logits + radius[:, tf.newaxis] * reach
        leads = tf.one_hot(best, logits.shape[-1], True, False, dtype=tf.bool)
        bottom = tf.reduce_max(tf.where(leads, -math.inf, others), axis=1)
        added = tf.nn.softplus(bottom - tf.reduce_logsumexp(logits, axis=1))
        values = losses.per_example(self.loss, y, logits) + self.weight * added
        robust = (best == labels) & (tf.reduce_max(logits, axis=1) > bottom)
        reported = {"gloro_accuracy": tf.cast(robust, tf.float32)}
        return Outcome(values, clean=logits, reported=reported)


def pair_constants(
    model: Model, x: tf.Tensor, iterations: int, step: TensorLike = 0
) -> tf.Tensor:
    """Lipschitz constants of differences of outputs, estimated.

    Args:
        model: Any callable `model(x, training=False) -> outputs`.
        x: Inputs, shape `[batch, ...]`, of which only the shape counts.
        iterations: Of the power method.
        step: Keys where it starts.

    Returns:
        Shape `[outputs, outputs]`; gradients reach the weights.
    """
    trace = Trace(model, x)
    look_up(trace)
    constants: dict = {trace.input: 1.0}
    stops = activations(trace)
    for node in trace.nodes[1:]:
        if node in stops:
            norms = estimated(trace, node, stops, iterations, step)
            terms = [norm * constants[given] for given, norm in norms.items()]
            constants[node] = slope_of(node) * tf.add_n(terms)
    output = trace.output
    eye = Dense(tf.reshape(tf.eye(output.size), [1, -1, *output.shape]))
    total = tf.zeros([output.size, output.size])
    for source, forms in sources(trace, output, eye, stops).items():
        matrix = tf.reshape(forms.tensor, [output.size, source.size])
        apart = matrix[:, tf.newaxis] - matrix
        square = tf.reduce_sum(apart**2, axis=2)
        # The root has no finite slope at 0, on the diagonal.
        total += tf.sqrt(tf.maximum(square, 1e-12)) * constants[source]
    return total
