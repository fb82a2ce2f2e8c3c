"""Polyhedral envelope regularization."""

import math
from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.attack import Attack
from tfrobust.backend import register
from tfrobust.objectives.arguments import check_adversary
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.types import Amount, Model, TensorLike
from tfrobust.verifiers import PolyhedralEnvelope


@register
class PER(Objective):
    """Clean loss plus gamma times how far hyperplanes are nearer than alpha.

    `gamma * sum(max(0, 1 - distance / alpha))` over the nearest hyperplanes
    that bound where another class may win. Only the first examples of a batch
    are bounded, which takes most of the time; their share of the loss counts
    for the whole batch.

    With an attack half of the batch, the second half of the bounded examples
    among it, is replaced by the points that it finds (PER+at): distances are
    measured from there, to the hyperplanes around x, and the loss is that of
    these points. Nothing is carried from the attack into the step: the
    published code adds the attack's gradients of the weights to it, which its
    weights gamma were chosen for.

    Args:
        verifier: A `PolyhedralEnvelope`. Its epsilon is how far its bounds
            reach, and follows alpha best.
        alpha: Distance to ask for, in the units of x, or a schedule of it.
        gamma: Weight of the regularization, not negative, or a schedule of it.
        hyperplanes: How many of the nearest hyperplanes count.
        examples: How many examples of a batch are bounded; None for all.
        attack: An `Attack` for half of the batch; None for no attack.

    Raises:
        TypeError: If `verifier` isn't a `PolyhedralEnvelope`, or `attack` is
            no attack.
        ValueError: If an argument is out of its range.

    Example:
        `PER(tfr.verifiers.PolyhedralEnvelope(tfr.threats.Linf(0.1)), 0.1)`

    Reference: Liu et al., 2021, arXiv 1912.04792, section 4.
    """

    of_classes = True

    def __init__(
        self,
        verifier: PolyhedralEnvelope,
        alpha: Amount,
        gamma: Amount = 0.03,
        hyperplanes: int = 1,
        examples: int | None = None,
        attack: Attack | None = None,
    ):
        example = "tfr.verifiers.PolyhedralEnvelope(threat)"
        checks.kind(verifier, PolyhedralEnvelope, "verifier", example)
        checks.amount(alpha, "alpha", low=0)
        if isinstance(alpha, (int, float)):
            checks.argument(alpha > 0, "alpha", "be positive", alpha)
        checks.amount(gamma, "gamma", low=0)
        checks.count(hyperplanes, "hyperplanes")
        if examples is not None:
            checks.count(examples, "examples")
        if attack is not None:
            check_adversary(attack, Attack, "attack")
        self.verifier, self.alpha, self.gamma = verifier, alpha, gamma
        self.hyperplanes, self.examples = hyperplanes, examples
        self.attack = attack

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        if self.attack is None:
            return x
        x, y = self.attack.threat.checked(x), tf.convert_to_tensor(y)
        begin = tf.shape(x[: self.examples])[0] // 2
        end = begin + tf.shape(x)[0] // 2
        worst = self.attack.perturb(model, x[begin:end], y[begin:end])
        return tf.concat([x[:begin], worst, x[end:]], axis=0)

    def outcome(
        self, model: Model, x: tf.Tensor, y: tf.Tensor, found: Any
    ) -> Outcome:
        logits = model(found, training=True)
        values = losses.per_example(self.loss, y, logits)
        some = (part[: self.examples] for part in (x, y, found))
        hinge = self._hinge(model, *some)
        count, bounded = tf.shape(values)[0], tf.shape(hinge)[0]
        share = tf.cast(count / bounded, tf.float32)
        hinge = tf.pad(share * hinge, [[0, count - bounded]])
        clean = logits if self.attack is None else None
        return Outcome(values + self.gamma * hinge, clean)

    def _hinge(self, model, x, y, point):
        distances = self.verifier.distances(model, x, y, point)
        # A schedule of alpha may begin at 0, where nothing is asked for.
        short = 1 - tf.math.divide_no_nan(distances, self.alpha)
        short = tf.where(self.alpha > 0, tf.nn.relu(short), 0.0)
        # What is not a number is no distance.
        short = tf.where(tf.math.is_nan(distances), math.nan, short)
        others = min(self.hyperplanes, distances.shape[-1] - 1)
        return tf.reduce_sum(tf.math.top_k(short, others).values, axis=-1)
