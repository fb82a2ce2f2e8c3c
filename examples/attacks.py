"""The threats and attacks that scripts name by a flag."""

import tfrobust as tfr

THREATS = {"linf": tfr.threats.Linf, "l2": tfr.threats.L2, "l1": tfr.threats.L1}
ATTACKS = {
    "fgsm": tfr.attacks.FGSM,
    "pgd": lambda threat: tfr.attacks.PGD(threat, steps=100, step_size=0.1),
    # Points that stop at a surrogate's first error hardly transfer.
    "apgd": lambda threat: tfr.attacks.APGD(threat, early_stop=False),
    "fab": tfr.attacks.FAB,
    "square": tfr.attacks.Square,
    "autoattack": tfr.attacks.AutoAttack,
    "plus": lambda threat: tfr.attacks.AutoAttack(threat, "plus"),
    "rand": lambda threat: tfr.attacks.AutoAttack(threat, "rand"),
}
