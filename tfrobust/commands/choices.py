"""Attacks and verifiers by the names that flags give them."""

from collections.abc import Callable

from tfrobust import attacks, verifiers
from tfrobust.attack import Attack
from tfrobust.threats import Threat

ATTACKS: dict[str, Callable[[Threat], Attack]] = {
    "fgsm": attacks.FGSM,
    "pgd": lambda threat: attacks.PGD(threat, steps=100, step_size=0.1),
    # Points that stop at a surrogate's first error hardly transfer.
    "apgd": lambda threat: attacks.APGD(threat, early_stop=False),
    "fab": attacks.FAB,
    "square": attacks.Square,
    "autoattack": attacks.AutoAttack,
    "plus": lambda threat: attacks.AutoAttack(threat, "plus"),
    "rand": lambda threat: attacks.AutoAttack(threat, "rand"),
}
VERIFIERS = {
    "ibp": verifiers.IBP,
    "crown-ibp": verifiers.CROWNIBP,
    "fast-lin": verifiers.FastLin,
    "crown": verifiers.CROWN,
    "alpha-crown": verifiers.AlphaCROWN,
    "branch-and-bound": verifiers.BranchAndBound,
}
