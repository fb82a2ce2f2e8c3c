"""What an evaluation asks of its adversaries."""

import numpy as np

from tfrobust.attacks import Transfer
from tfrobust.evaluation.provenance import weights_sha256
from tfrobust.plan import check_adversary


def described(adversaries):
    """Everything that their answers depend on, for a `State` to compare."""
    surrogates = [
        weights_sha256(adversary.surrogate)
        for adversary in adversaries.values()
        if isinstance(adversary, Transfer)
    ]
    return [adversaries, surrogates]


def check_names(sequences):
    """Refuses two rows of one name."""
    names = [name for sequence in sequences for name in sequence.names()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            "`adversaries` must have names of their own, components of "
            f"ensembles included. Received twice: {twice}. Choose others."
        )


def check(adversaries):
    """Refuses what can't be evaluated."""
    if not adversaries:
        raise ValueError(
            "`adversaries` must name at least one adversary, such as "
            f'{{"pgd": tfr.attacks.PGD(threat)}}. Received: {adversaries!r}'
        )
    for name, adversary in adversaries.items():
        if name in ("clean", "worst case"):
            raise ValueError(
                f"`adversaries` must not use the name {name!r}, which is a row "
                "of every report. Choose another."
            )
        check_adversary(name, adversary)
        if np.ndim(adversary.threat.epsilon) == 1:
            raise ValueError(
                "`evaluate` needs an epsilon that does not depend on the "
                f"example. Received: {name!r} with one for each of "
                f"{len(adversary.threat.epsilon)} examples."
            )
