"""What every exporter asks of its arguments."""

import numpy as np

from tfrobust.adversary import Attack, Verifier
from tfrobust.attacks import PGD
from tfrobust.compression.cloning import leaves
from tfrobust.compression.plain import plain
from tfrobust.evaluation.report import Report

OUTPUTS = ("logits", "probabilities", "class", "certified", "margin", "epsilon")


def stock(network):
    """The network in stock Keras layers, where it can be had."""
    hidden = getattr(network, "outputs", None) and any(
        hasattr(layer, "plain") for layer in leaves(network)
    )
    return plain(network) if hidden else network


def input_shape(network):
    """The shape of a batch; a subclassed model knows what it was built with."""
    shape = None
    if network.built:
        shape = getattr(network, "input_shape", None)
        shape = shape or network.get_build_config()["input_shape"]
    if not shape or not all(n is None or isinstance(n, int) for n in shape):
        raise ValueError(
            "`model` must be built before export, with one input of a known "
            f"shape. Received: {network.name!r} with input shape {shape}. Call "
            "it once, or fit it."
        )
    return (None, *shape[1:])


def check_name(input_name):
    """Refuses a name that no signature can have."""
    if not input_name.isidentifier():
        raise ValueError(
            "`input_name` must be a Python identifier. "
            f"Received: input_name={input_name!r}"
        )
    if input_name in OUTPUTS:
        raise ValueError(
            "`input_name` must differ from the outputs of the signatures, "
            f"{', '.join(OUTPUTS)}. Received: input_name={input_name!r}"
        )


def check_report(report):
    """Refuses what has nothing to put on a card."""
    if report is not None and not isinstance(report, Report):
        raise TypeError(
            "`report` must be a report, as tfr.evaluate and tfr.certify return "
            f"it. Received: {report!r}"
        )


def resolved(certify, data, attack):
    """Checks the adversaries, and returns the one that attacks the data."""
    if certify is not None and not isinstance(certify, Verifier):
        raise TypeError(
            "`certify` must be a verifier, such as "
            f"tfr.verifiers.CROWN(threat). Received: {certify!r}"
        )
    if attack is not None and data is None:
        raise ValueError(
            "`attack` needs `data`, inputs and labels to attack what was "
            f"written on. Received: attack={attack!r} alone."
        )
    if attack is None and certify is not None:
        attack = PGD(certify.threat, steps=20)
    if data is not None and not isinstance(attack, Attack):
        raise TypeError(
            "`data` needs an `attack`, such as tfr.attacks.PGD(threat), or a "
            f"verifier in `certify`. Received: attack={attack!r}"
        )
    for name, adversary in {"certify": certify, "attack": attack}.items():
        if adversary is None:
            continue
        if adversary.schedules() or np.ndim(adversary.threat.epsilon) == 1:
            raise ValueError(
                f"`{name}` needs one fixed epsilon. Received: {adversary!r}. "
                "Pass threat.replace(epsilon=0.3)."
            )
    return attack
