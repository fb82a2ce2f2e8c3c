"""What an evaluation asks of its adversaries."""

import numpy as np

from tfrobust.adversary import Adversary, named
from tfrobust.arguments import check_adversary
from tfrobust.attacks import (
    AutoAttack,
    Ensemble,
    MinimumNorm,
    Restart,
    Square,
    Transfer,
)
from tfrobust.attacks.decision_attack import DecisionAttack
from tfrobust.evaluation.chosen import usual_attack
from tfrobust.evaluation.identity import identified, identity
from tfrobust.verifier import Verifier


def nature(adversary):
    """What a `Row` knows of its adversary; nothing of None, clean inputs."""
    if adversary is None:
        return {}
    threat = adversary.threat
    return {
        "adversary": repr(adversary),
        "identity": identified(adversary),
        "threat": identified(threat),
        "norm": threat.name,
        "epsilon": radius_of(threat),
        "proven": isinstance(adversary, Verifier),
        "standard": isinstance(adversary, AutoAttack)
        and adversary.version == "standard",
        "gradient_free": _gradient_free(adversary),
    }


def radius_of(threat):
    """The largest epsilon of a threat; None if it has none."""
    return None if threat.epsilon is None else float(np.max(threat.epsilon))


def _gradient_free(adversary):
    """Whether it asks the model for logits alone."""
    if isinstance(adversary, Ensemble):
        return all(map(_gradient_free, adversary.attacks.values()))
    if isinstance(adversary, (Restart, MinimumNorm)):
        return _gradient_free(adversary.attack)
    return isinstance(adversary, (Square, DecisionAttack))


def surrogates(adversaries):
    """The models other than the attacked one that adversaries ask."""
    found = []
    for adversary in adversaries:
        if isinstance(adversary, Transfer):
            found.append(adversary.surrogate)
        parts = getattr(adversary, "attacks", getattr(adversary, "attack", ()))
        parts = parts.values() if isinstance(parts, dict) else [parts]
        found += surrogates(p for p in parts if isinstance(p, Adversary))
    return found


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
                "An evaluation needs an epsilon that does not depend on the "
                f"example. Received: {name!r} with one for each of "
                f"{len(adversary.threat.epsilon)} examples. One for each "
                "feature has the shape (1, features); or use tfr.threats.Box."
            )


def of_one_threat(attack, verifiers):
    """The attack and the verifiers by name, once it is seen that they fit.

    Args:
        attack: The `Attack`; None for the usual one.
        verifiers: As `certify` takes them.
    """
    by_name = named(verifiers)
    for verifier in by_name.values():
        if not isinstance(verifier, Verifier):
            raise TypeError(
                "`verifiers` must be a verifier or a list of them, such as "
                f"tfr.verifiers.CROWN(threat). Received: {verifier!r}"
            )
    if not by_name:
        raise ValueError(
            "`verifiers` must hold at least one verifier, such as "
            "tfr.verifiers.CROWN(threat). Received: none."
        )
    threat = next(iter(by_name.values())).threat
    if attack is None:
        attack = usual_attack(threat)
    adversaries = {**named([attack]), **by_name}
    if len(adversaries) == len(by_name):
        raise ValueError(
            "Names of `verifiers` must differ from that of the attack. "
            f"Received: {[*by_name]}. Choose others."
        )
    check(adversaries)
    for name, adversary in adversaries.items():
        if identity(adversary.threat) != identity(threat):
            raise ValueError(
                "The attack and the verifiers must share one threat, mask and "
                f"all. Received: {threat}, and for {name!r} {adversary.threat}."
            )
    return adversaries
