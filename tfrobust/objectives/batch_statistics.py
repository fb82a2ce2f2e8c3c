"""Bounds and attacked points under the statistics of the clean batch."""

from typing import Any

from tfrobust import checks
from tfrobust.backend import register
from tfrobust.graph import Frozen
from tfrobust.objectives.awp import AWP
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.objectives.wrapper import Wrapper
from tfrobust.types import Model, TensorLike


@register
class BatchStatistics(Wrapper):
    """Trains with batch normalisation by the statistics of the clean batch.

    The clean batch passes once, in training mode, and moves the moving
    statistics. Then all that the objective inside computes, the clean loss,
    the loss at attacked points and bounds, is normalised by the means and
    variances of that batch, through which gradients flow; without this bounds
    read the moving ones, and attacked points have statistics of their own. So
    any objective trains a network with batch normalisation, also with `mix=1`.

    The search for the worst case reads the moving statistics, as attacks
    always do, and so do validation and certificates: let
    `callbacks.ReestimateBatchNorm` estimate them on much data.

    Args:
        objective: The `Objective`.

    Raises:
        TypeError: If `objective` is none.
        ValueError: If an `AWP` is inside; in training, if the network has
            layers that are random in training, such as Dropout, beside those
            that move images, such as RandomFlip, in front.
        NotImplementedError: In training, if an op of the network can't be run
            again, see `verifiers.coverage`, or a layer normalises inside of a
            `tf.function` of its own.

    Example:
        `BatchStatistics(WorstCase(tfr.verifiers.IBP(linf)))`

    Reference: Mao et al., 2024, arXiv 2406.04848, section 3 (batch
    normalisation).
    """

    def __init__(self, objective: Objective):
        self._wrap(objective)
        checks.argument(
            not _moves_weights(objective),
            "objective",
            "hold no AWP, which moves weights: pass AWP(BatchStatistics(...))",
            objective,
        )

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        return self.objective.outcome(Frozen(model, x), x, y, found)


def _moves_weights(objective):
    """Whether it, or one inside, moves weights."""
    inner = objective._inner().values()
    return isinstance(objective, AWP) or any(map(_moves_weights, inner))
