"""Small adversarial bounding regions."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.attack import Attack
from tfrobust.backend import register
from tfrobust.bounds import Bounds
from tfrobust.objectives.arguments import check_adversary
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.types import Amount, Model, TensorLike
from tfrobust.verifiers import IBP


@register
class SABR(Objective):
    """Interval bounds over a small box around the point of an attack.

    The box has `share` of the threat's side lengths and lies within it, as near
    to the attacked point as that allows. With `share=1` it is interval bound
    propagation, near 0 adversarial training. What it bounds proves nothing of
    the threat, so it serves training alone.

    Args:
        attack: An `Attack` on a threat that is a box, `Linf` or `Box`.
        share: Side length of the small box, in (0, 1], or a schedule of it.
        mix: Weight of that loss against the clean one, in [0, 1], or a schedule
            of it. At the number 1 the clean loss is not computed; a network
            with batch normalisation needs less, or `BatchStatistics`.
        shrink: What upper bounds of ReLUs that may be on or off are multiplied
            by, in (0, 1]; 0.8 eases training at small radii.

    Raises:
        TypeError: If `attack` is none.
        ValueError: If its threat is no box, or a number is out of its range.

    Example:
        `SABR(tfr.attacks.PGD(linf, steps=8), share=0.4)`

    Reference: Mueller et al., 2023, arXiv 2210.04871, section 3; shrinking:
    section 4.
    """

    of_classes = True

    def __init__(
        self,
        attack: Attack,
        share: Amount = 0.4,
        mix: Amount = 1.0,
        shrink: float = 1.0,
    ):
        check_adversary(attack, Attack, "attack")
        checks.argument(
            attack.threat.is_box, "attack", "search a Linf or a Box", attack
        )
        checks.amount(share, "share", low=0, high=1)
        checks.amount(mix, "mix", low=0, high=1)
        checks.number(shrink, "shrink", 0, 1)
        for name, value in {"share": share, "shrink": shrink}.items():
            given = not isinstance(value, (int, float)) or value > 0
            checks.argument(given, name, "be positive", value)
        self.attack, self.share = attack, share
        self.mix, self.shrink = mix, shrink

    def adversaries(self) -> dict:
        """`"sabr"`: what is logged under it are bounds on the small box."""
        return {"sabr": self.attack}

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        threat = self.attack.threat
        x = threat.checked(x)
        lower, upper = threat.box(x)
        radius = self.share * (upper - lower) / 2
        whole = isinstance(self.share, (int, float)) and self.share == 1
        point = x if whole else self.attack.perturb(model, x, y)
        # Rounding may cross the ends of a box without a width.
        centre = tf.maximum(tf.minimum(point, upper - radius), lower + radius)
        return x, tf.clip_by_value(centre, threat.low, threat.high), radius

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        x, centre, radius = found
        small = self.attack.threat._replace(epsilon=radius, mask=None)
        verifier = _Shrunk(small, self.shrink)
        bounded, values = self._bounded(verifier, model, centre, y)
        named = self.by_name(bounded)
        return self.beside_clean(model, x, y, values, named, self.mix)

    def _bounded(self, verifier, model, centre, y):
        """Logits that bound the small box, and the losses of it."""
        bounded = verifier.logits(model, centre, y)
        return bounded, losses.per_example(self.loss, y, bounded)


class _Shrunk(IBP):
    """`IBP` that isn't sound: what may be on or off is bounded too low."""

    def __init__(self, threat: Any, shrink: float) -> None:
        super().__init__(threat)
        self._shrink = shrink

    def bounds(self, trace: Any, x: tf.Tensor) -> Bounds:
        if self._shrink == 1:
            return super().bounds(trace, x)
        return _ShrunkBounds(trace, self.threat, x, self._shrink)


class _ShrunkBounds(Bounds):
    def __init__(
        self, trace: Any, threat: Any, x: tf.Tensor, shrink: float
    ) -> None:
        self._shrink = shrink
        super().__init__(trace, threat, x, tighten=False)

    def _interval(self, node):
        found = super()._interval(node)
        if node.type != "Relu":
            return found
        below, above = self.intervals[node.dependent[0]]
        either = (below < 0) & (above > 0)
        lower, upper = found
        return lower, tf.where(either, self._shrink * upper, upper)
