"""What objectives are made of, checked."""

import inspect
from collections.abc import Callable
from typing import Any

from tfrobust import checks
from tfrobust.adversary import Adversary, targeted
from tfrobust.attack import Attack
from tfrobust.threats import Threat


def attack_of(
    given: Any, default: Callable[[Threat], Attack], expected: type = Attack
) -> Any:
    """Returns an objective's attack; of a `Threat` the default one.

    Args:
        given: An `Attack`, or a `Threat` in its place.
        default: Function of a threat to the attack of the paper.
        expected: The class that it must be of.
    """
    attack = default(given) if isinstance(given, Threat) else given
    check_adversary(attack, expected, "attack")
    return attack


def check_start(attack: Attack) -> None:
    """Refuses an attack that says itself where it starts."""
    if not attack.takes_start:
        raise ValueError(
            "`attack` must take a start, as FGSM, PGD and APGD do, to go on "
            f"where the last one ended. Received: {attack!r}"
        )


def check_adversary(adversary: Adversary, expected: type, name: str) -> None:
    """Refuses what an objective can't train against."""
    example = "PGD" if inspect.isabstract(expected) else expected.__name__
    checks.kind(adversary, expected, name, f"tfr.attacks.{example}(threat)")
    if targeted(adversary):
        raise ValueError(
            f"`{name}` must not be targeted: towards the true class it would "
            f"help the network. Received: {name}={adversary!r}. Pass "
            "targeted=False."
        )
