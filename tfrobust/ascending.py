"""Adversaries that ascend the loss that their model is judged by."""

from collections.abc import Callable
from typing import Any, TypeVar

from tfrobust import losses
from tfrobust.adversary import Adversary
from tfrobust.attacks import APGD, PGD
from tfrobust.attacks.one_step import OneStep
from tfrobust.backend import keras
from tfrobust.objectives import Objective
from tfrobust.types import Loss

Part = TypeVar("Part", Adversary, Objective)


def of_keras(loss: Any) -> bool:
    """Whether it is a loss, or a function, of Keras's own, or of several."""
    if getattr(loss, "of_columns", False):
        return True
    known = vars(keras.losses).values()
    return any(loss is one or type(loss) is one for one in known)


def as_classes(loss: Any) -> Any:
    """A binary cross entropy as that of two classes; others as they are."""
    if type(loss) is not keras.losses.BinaryCrossentropy:
        return loss
    config: dict[str, Any] = getattr(loss, "get_config", dict)()
    return losses.CrossEntropy(config.get("label_smoothing", 0.0))


def of_two_logits(part: Part) -> Part:
    """A copy whose attacks on one logit are attacks on two."""

    def change(attack):
        known = hasattr(attack, "loss")
        chosen = as_classes(attack.loss) if known else None
        return attack._replace(loss=chosen) if known else attack

    return _changed(part, change)


def ascending(part: Part, loss: Loss) -> Part:
    """A copy of an adversary or objective whose attacks ascend `loss`.

    Those that were told another loss keep it. None stops at a class that is
    wrong, since there is none.

    Args:
        part: What is trained or evaluated with.
        loss: A loss that doesn't read classes.

    Raises:
        ValueError: If an adversary or objective asks which class wins.
    """
    return _changed(part, lambda attack: _attack(attack, loss))


def refuse_of_classes(objective: Objective, loss: Loss) -> None:
    """Refuses objectives that read outputs as logits of classes."""
    for part in [objective, *objective._inner().values()]:
        if part.of_classes:
            raise ValueError(
                f"{type(part).__name__} reads the outputs as logits of "
                f"classes, but the loss is {loss!r}. Use "
                "tfr.objectives.WorstCase, or a loss of classes."
            )


def _changed(part: Any, change: Callable) -> Any:
    """A copy in which every adversary without others inside is changed."""
    inside = _inside(vars(part), change)
    if inside:
        return part._replace(**inside)
    return change(part) if isinstance(part, Adversary) else part


def _inside(parts, change):
    """Those of named parts that are changed."""
    new = {}
    for name, value in parts.items():
        if isinstance(value, (Adversary, Objective)):
            new[name] = _changed(value, change)
        elif isinstance(value, dict):
            inside = _inside(value, change)
            new |= {name: {**value, **inside}} if inside else {}
    return new


def _attack(attack: Any, loss: Loss) -> Any:
    known = isinstance(attack, (PGD, APGD, OneStep))
    if not known or getattr(attack, "targets", False):
        raise ValueError(
            f"{type(attack).__name__} asks which class wins, but the loss is "
            f"{loss!r}. Attack with PGD, FGSM or APGD, which ascend it; "
            "tfr.certify gives the range of each output."
        )
    chosen = losses.get(attack.loss)
    default = type(chosen) is losses.CrossEntropy
    if losses.reads_classes(chosen) and not (
        default or chosen is losses.cross_entropy
    ):
        raise ValueError(
            f"The attack's loss {attack.loss!r} reads classes, but the model's "
            f"is {loss!r}. Leave it out: the attack then takes the model's."
        )
    if losses.reads_classes(chosen):
        chosen = loss
    stops = {"early_stop": False} if hasattr(attack, "early_stop") else {}
    return attack._replace(loss=chosen, **stops)
