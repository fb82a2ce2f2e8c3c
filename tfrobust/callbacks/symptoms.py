"""Signs that a network has catastrophically overfitted to one attack."""

import math
from collections.abc import Sequence
from typing import NamedTuple

DROP = 0.2  # Of the accuracy under the strong attack, from check to check.
FLOOR = 0.05  # Under which that accuracy is as good as none.
COLLAPSED = 0.2  # Under which gradients no longer point alike.


class Check(NamedTuple):
    """What is measured of a network, on one batch.

    Attributes:
        clean: Accuracy without an attack.
        single: That under the one-step attack.
        strong: That under the strong attack.
        cosine: Mean cosine of the input gradients at x and at a random point.
        pert_align: That of the gradients before and after the step of
            training, or NaN.
    """

    clean: float
    single: float
    strong: float
    cosine: float
    pert_align: float = math.nan


def symptoms(now: Check, before: Sequence[Check]) -> list[str]:
    """Returns what is wrong, a phrase for each trigger.

    A cosine collapses if it is below `COLLAPSED`, and half the highest so far.

    Args:
        now: This check.
        before: Those before it, oldest first.
    """
    found = []
    last = before[-1] if before else now
    if last.strong - now.strong > DROP:
        found.append(
            f"the accuracy under the strong attack fell from {last.strong:.3g} "
            f"to {now.strong:.3g}"
        )
    if now.single > last.single and now.strong < FLOOR:
        found.append(
            f"that under one step rose to {now.single:.3g} while that under "
            f"the strong attack is {now.strong:.3g}"
        )
    if now.single > now.clean:
        found.append(
            f"that under one step, {now.single:.3g}, exceeds that without an "
            f"attack, {now.clean:.3g}"
        )
    for name in ("cosine", "pert_align"):
        value = getattr(now, name)
        highest = max((getattr(check, name) for check in before), default=0.0)
        if value < COLLAPSED and value < highest / 2:
            found.append(f"the {name} fell from {highest:.3g} to {value:.3g}")
    return found
