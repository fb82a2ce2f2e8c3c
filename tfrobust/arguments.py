"""What `compile` takes, checked."""

from typing import Any

import tensorflow as tf

from tfrobust.adversary import Adversary, reach, targeted
from tfrobust.attacks import PGD
from tfrobust.objectives import Clean, Objective, WorstCase
from tfrobust.threats.norms import threat_of


def chosen(
    epsilon: float | None, objective: Objective | None, adversaries: Any
) -> tuple[Objective, Any]:
    """Objective and adversaries, where none are given those of a radius."""
    if epsilon is None:
        return objective or Clean(), adversaries or []
    if objective is not None and adversaries is not None:
        raise TypeError(
            "`epsilon` would be ignored: the objective and the adversaries "
            f"have their own. Received: epsilon={epsilon!r}. Leave it out."
        )
    linf = threat_of(epsilon)
    if adversaries is None:
        adversaries = [PGD(linf, steps=20)]
    return objective or WorstCase(PGD(linf)), adversaries


def refuse_weights(weighted_metrics: Any, loss_weights: Any) -> None:
    """Refuses arguments of Keras's `compile` that have no meaning here."""
    if weighted_metrics:
        raise TypeError(
            "`weighted_metrics` would be ignored: sample weights scale the "
            f"loss alone. Received: {weighted_metrics!r}. Pass `metrics`."
        )
    if loss_weights is not None:
        raise TypeError(
            "`loss_weights` would be ignored: there is one loss. Received: "
            f"{loss_weights!r}. Scale the learning rate."
        )


def check_adversary(name: str, adversary: Any) -> None:
    """Refuses what can't be evaluated against true labels."""
    if not isinstance(adversary, Adversary):
        raise TypeError(
            "`adversaries` must map names to adversaries, such as "
            '{"pgd": tfr.attacks.PGD(threat)}. '
            f"Received: {name!r}: {adversary!r}"
        )
    if adversary.schedules():
        raise ValueError(
            "An adversary that is evaluated needs one fixed strength. "
            f"Received: {name!r} with a schedule for {adversary.schedules()}. "
            "Pass a number, such as threat.replace(epsilon=0.3)."
        )
    if reach(adversary) > 1:
        raise ValueError(
            "An adversary that is evaluated must stay in its threat. Received: "
            f"{name!r}: {adversary!r}, which is for training: its points are "
            f"up to {reach(adversary):g} epsilon away. Pass tfr.attacks.PGD or "
            "AutoAttack of the same threat."
        )
    if targeted(adversary):
        raise ValueError(
            "A targeted attack needs target classes, but `evaluate` has only "
            f"the true ones. Received: {name!r}: {adversary!r}. Call its "
            "`perturb` with the targets."
        )


def check_epsilon(adversary: Adversary) -> None:
    """Refuses a radius for each example, as batches are shuffled."""
    shape = tf.TensorShape(getattr(adversary.threat.epsilon, "shape", ()))
    if shape.rank == 1:
        raise ValueError(
            "`epsilon` must not depend on the example: batches are shuffled. "
            f"Received shape {shape}. For a radius of each feature give it "
            "the rank of a batch: epsilon[np.newaxis]."
        )
