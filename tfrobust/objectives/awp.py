"""Adversarial weight perturbation."""

from typing import Any

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import register
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.types import Amount, Model, TensorLike


@register
class AWP(Objective):
    """Adversarial weight perturbation, around any objective.

    The losses are those of the inner objective at weights that were moved,
    each kernel by `gamma * |w| * g / |g|` up the gradient g of its loss. The
    weights are put back from a copy. Biases and normalisation are not moved,
    and the search for g runs in inference mode, so that it leaves batch
    normalisation statistics alone.

    Args:
        objective: The objective to wrap.
        gamma: Size of the move relative to the weights, not negative, or a
            schedule of it: 0 at first gives the warm-up of the paper.

    Raises:
        TypeError: If `objective` isn't an objective.
        ValueError: If `gamma` is negative.
        NotImplementedError: In a strategy of several replicas, which would
            have to move their copies of the weights together.

    Example:
        `model.compile("adam", objective=AWP(TRADES(pgd), gamma=0.005))`

    Reference: Wu et al., 2020, arXiv 2004.05884, equations 8 and 10.
    """

    def __init__(self, objective: Objective, gamma: Amount = 0.01):
        example = "tfr.objectives.WorstCase(tfr.attacks.PGD(threat))"
        checks.kind(objective, Objective, "objective", example)
        checks.amount(gamma, "gamma", low=0)
        self.objective, self.gamma = objective, gamma

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise NotImplementedError(
                "AWP runs on one replica. Received a strategy of "
                f"{tf.distribute.get_strategy().num_replicas_in_sync} "
                "replicas. Train on one device, or drop the AWP wrapper."
            )

        def frozen(inputs, training=False):
            return model(inputs, training=False)

        found = self.objective.search(model, x, y)
        kernels = _kernels(model)
        with tf.GradientTape() as tape:
            outcome = self.objective.outcome(frozen, x, y, found)
            losses = outcome.losses
            if self.sample_weight is not None:
                weight = tf.cast(self.sample_weight, losses.dtype)
                losses *= tf.reshape(weight, [-1])
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, kernels)
        return found, [
            self.gamma * tf.norm(w) * _direction(w, g)
            for w, g in zip(kernels, gradients, strict=True)
        ]

    def watched(self, found: Any) -> tf.Tensor | None:
        return self.objective.watched(found[0])

    def after(
        self, outcome: Outcome, found: Any, gradient: tf.Tensor | None
    ) -> Outcome:
        return self.objective.after(outcome, found[0], gradient)

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        found, moves = found
        kernels = _kernels(model)
        saved = [tf.identity(w) for w in kernels]
        try:
            for kernel, move in zip(kernels, moves, strict=True):
                kernel.assign_add(move)
            return self.objective.outcome(model, x, y, found)
        finally:
            for kernel, value in zip(kernels, saved, strict=True):
                kernel.assign(value)


def _kernels(model):
    return [w for w in model.trainable_variables if len(w.shape) > 1]


def _direction(weight, gradient):
    if gradient is None:  # The loss doesn't reach it.
        return tf.zeros(weight.shape)
    return tf.math.divide_no_nan(gradient, tf.norm(gradient))
