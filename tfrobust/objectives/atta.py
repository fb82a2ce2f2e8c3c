"""ATTA."""

from typing import Any

from tfrobust.attack import Attack
from tfrobust.attacks import FGSM
from tfrobust.backend import register
from tfrobust.instances.augmentation import Augmentation
from tfrobust.objectives.arguments import attack_of, check_start
from tfrobust.objectives.continued import Continued
from tfrobust.threats import Threat


@register
class ATTA(Continued):
    """Adversarial training with transferable adversarial examples.

    Each attack starts where the one of the epoch before ended. With one step
    it takes two forward and two backward passes.

    Args:
        attack: An `Attack` that takes a start, or a `Threat` for one step of
            half its epsilon.
        augmentation: An `Augmentation` that can be taken back; None leaves
            inputs as they are. Any other one, in the dataset or the network,
            would move inputs away from what is remembered of them.
        reset: Visits of an instance after which its search starts anew; None
            for never.
        seed: Integer that keys the random starts.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If the attack is targeted or takes no start, or `reset`
            isn't positive.

    Example:
        objective = tfr.objectives.ATTA(tfr.threats.Linf(8 / 255))
        model.compile("sgd", objective=objective)
        model.fit(tfr.instances.Indexed(x, np.arange(len(x))), y)

    Reference: Zheng et al., 2020, arXiv 1912.11969, section 4; of half an
    epsilon: ATTA-1.
    """

    def __init__(
        self,
        attack: Attack | Threat,
        augmentation: Augmentation | None = None,
        reset: int | None = 10,
        seed: int = 0,
    ):
        self.attack: Any = attack_of(attack, lambda t: FGSM(t, step_size=0.5))
        check_start(self.attack)
        self._set(augmentation, reset, seed)

    def _ascend(self, model, seen, y, start):
        point = self.attack.perturb(model, seen, y, start=start)
        return point, point, {}, {}
