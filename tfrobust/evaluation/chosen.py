"""What evaluations run if they are told epsilon alone."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfrobust.adversary import Adversary, named
from tfrobust.attack import Attack
from tfrobust.attacks import PGD
from tfrobust.threats import Threat
from tfrobust.threats.norms import threat_of


def chosen(
    given: Any,
    name: str,
    epsilon: Any,
    norm: str | None,
    make: Callable[[Threat], Adversary | list],
    verbose: int,
) -> Any:
    """Returns what is given, or what is made for a radius, and says so.

    Args:
        given: The argument called `name`, or None.
        name: Its name.
        epsilon: The radius, if nothing is given.
        norm: Norm of the radius; None is linf.
        make: What to run against a threat.
        verbose: 0 is silent.

    Raises:
        TypeError: If both are given or neither is.
    """
    if (given is None) == (epsilon is None) or (given and norm):
        raise TypeError(
            f"Pass either `epsilon` (and `norm`) or `{name}`, which know their "
            f"own: epsilon=8 / 255. Received: epsilon={epsilon!r}, "
            f"norm={norm!r}, and {'no' if given is None else 'some'} {name}."
        )
    if given is not None:
        return given
    if np.ndim(epsilon):
        raise TypeError(
            f"`epsilon` must be one number. Received: epsilon={epsilon!r}. For "
            "several use tfr.attack(model, x, y, epsilon=[...])."
        )
    threat = threat_of(epsilon, norm or "linf")
    made = make(threat)
    if verbose:
        kinds = [type(one).__name__ for one in named(made).values()]
        print(
            f"Chosen for epsilon={epsilon:g}: {threat.name} in "
            f"[{threat.low:g}, {threat.high:g}], {', '.join(kinds)}. "
            f"Others: `norm`, `{name}`."
        )
    return made


def usual_attack(threat: Threat) -> Attack:
    """PGD on the margin, which finds most of what there is to find."""
    return PGD(threat, steps=40, restarts=2, loss="margin")
