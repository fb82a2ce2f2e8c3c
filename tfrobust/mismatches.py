"""Where what is trained against and what is tested don't match: warnings."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrobust.adversary import Adversary
from tfrobust.backend import Schedule
from tfrobust.remembered import Remembered

# At how many steps a schedule is looked at.
_LOOKS = 65


def short_schedules(
    trained: Mapping[str, Adversary],
    tested: Mapping[str, Adversary],
    begin: int,
    end: int,
) -> list[str]:
    """Warns of radii that never grow to those that are tested.

    Args:
        trained: Adversaries of the objective, by name.
        tested: Adversaries that are evaluated, by name.
        begin: The first step of training.
        end: The step after the last.

    Returns:
        A sentence for each schedule that is too slow, or ends too low.
    """
    steps, found = np.linspace(begin, max(begin, end - 1), _LOOKS), []
    for name, adversary in trained.items():
        epsilon = adversary.threat.epsilon
        moves = isinstance(epsilon, Schedule)
        if not moves or isinstance(epsilon, Remembered):
            continue
        wanted = [
            float(np.max(other.threat.epsilon))
            for other in tested.values()
            if _ball(other.threat) == _ball(adversary.threat)
        ]
        if not wanted:
            continue
        most = max(float(epsilon(int(step))) for step in steps)
        if most < max(wanted) * (1 - 1e-3):
            found.append(
                f"The radius of {name!r} grows to {most:.4g} in the {end} "
                f"steps of training, and {max(wanted):.4g} is tested. Let the "
                f"schedule end before: {epsilon!r}."
            )
    return found


def other_norm(model: Any, threat: Any) -> str | None:
    """Warns of a certificate over another ball than was trained against.

    Args:
        model: A model; only a compiled `RobustModel` knows.
        threat: The `Threat` of the certificate.

    Returns:
        A sentence, or None.
    """
    trained = {_ball(one) for one in getattr(model, "trained_threats", ())}
    if not trained or _ball(threat) in trained:
        return None
    return (
        f"The model was trained against {' and '.join(sorted(trained))}, and "
        f"the certificate is over {_ball(threat)}: little may be proven. Train "
        "against the threat that you certify."
    )


def _ball(threat):
    """What balls have a name; boxes of any radii are linf's."""
    return "Linf" if threat.is_box else type(threat).__name__
