"""Attacks found on another model."""

from tfrobust import checks
from tfrobust.attack import Attack
from tfrobust.backend import register
from tfrobust.threats import Threat
from tfrobust.types import Model


@register
class Transfer(Attack):
    """The points that an attack finds on a surrogate model.

    The search never calls the attacked model, so this works where no gradient
    is to be had: on a SavedModel, a LiteRT model, a quantised network. The
    points are judged on the attacked model by whoever asks for the logits.

    An attack that stops at the surrogate's first error barely crosses its
    decision boundary, and takes x where the surrogate errs on x: both hardly
    transfer. Prefer `PGD`, or `APGD` with `early_stop=False`.

    Args:
        attack: The `Attack` to run on the surrogate.
        surrogate: A `RobustModel`, a Keras model or any callable
            `surrogate(x, training=False) -> logits`. A Keras model has weights,
            which a configuration can't hold: `get_config` refuses it.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`, or what the attack compares with.

    Raises:
        ValueError: If the surrogate can't be called.

    Example:
        `Transfer(PGD(threat, steps=50), surrogate=float_network)`

    Reference: Papernot et al., 2016, arXiv 1605.07277.
    """

    takes_start = True

    def __init__(self, attack: Attack, surrogate: Model):
        checks.kind(attack, Attack, "attack", "tfr.attacks.PGD(threat)")
        if not callable(surrogate):
            raise ValueError(
                "`surrogate` must be a model, or a function "
                "`surrogate(x, training=False) -> logits`. "
                f"Received: surrogate={surrogate!r}"
            )
        self.attack, self.surrogate = attack, surrogate

    @property
    def threat(self) -> Threat:
        """What the attack searches."""
        return self.attack.threat

    def _perturb(self, model, x, y, start, step):
        return self.attack._perturb(self.surrogate, x, y, start, step)
