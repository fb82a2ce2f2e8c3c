"""Adversaries: which logits are the worst that a threat allows?"""

import abc
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import tensorflow as tf

from tfrobust.configurable import Configurable
from tfrobust.threats import Region, Threat
from tfrobust.types import Model, TensorLike

Self = TypeVar("Self", bound="Adversary")


class Adversary(Configurable, abc.ABC):
    """Answers with the worst logits: `adversary(model, x, y)`.

    An attack answers from below, by showing a point; a verifier answers from
    above, by proving a bound. The answer comes in two parts, so that an
    objective can search once and read the logits several times.

    Call arguments:
        model: Any callable `model(x, training=False) -> logits`.
        x: Inputs in the threat's valid range, shape `[batch, ...]`, float32.
        y: Labels, shape `[batch]`.
        training: Whether the logits are read in training mode.

    Returns:
        Logits, shape `[batch, classes]`.
    """

    threat: Any  # The `Threat`, or `Region`, that is searched or bounded.

    def against(self: Self, threat: Threat | Region) -> Self:
        """Returns a copy that answers for another threat, parts included.

        Raises:
            TypeError: If one of both threats is a ball, and the other is not.
        """
        own = getattr(self, "threat", None)
        apart = isinstance(threat, Region) or isinstance(own, Region)
        if apart and type(threat) is not type(own):
            raise TypeError(
                f"`threat` must be a {type(own).__name__}, for which "
                f"{type(self).__name__} was made. Received: {threat!r}"
            )
        return self._replace(**_against(vars(self), threat))

    @abc.abstractmethod
    def perturb(self, model: Model, x: TensorLike, y: TensorLike) -> tf.Tensor:
        """Returns the points, of x's shape, at which `logits` are read."""

    @abc.abstractmethod
    def logits(
        self,
        model: Model,
        point: tf.Tensor,
        y: TensorLike,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns the worst logits, read at what `perturb` found."""

    def __call__(
        self,
        model: Model,
        x: TensorLike,
        y: TensorLike,
        training: bool = False,
    ) -> tf.Tensor:
        return self.logits(model, self.perturb(model, x, y), y, training)


def targeted(adversary: Adversary) -> bool:
    """Whether it, or a part of it, reads labels as classes to reach."""
    return getattr(adversary, "targeted", False) or any(
        targeted(part) for part in parts_of(adversary)
    )


def reach(adversary: Adversary) -> float:
    """How many epsilons away from x its points, or a part's, may be."""
    parts = [reach(part) for part in parts_of(adversary)]
    return max([getattr(adversary, "reach", 1.0), *parts])


def kind(adversary: Adversary) -> str:
    """The name of its class: `"pgd"`."""
    return type(adversary).__name__.lower()


def named(
    adversaries: Any, name: Callable[[Adversary], str] = kind
) -> dict[str, Adversary]:
    """Returns adversaries by name: a dictionary as it is, others by their kind.

    Args:
        adversaries: Dictionary of name to `Adversary`; or one, or a list,
            named after the classes: `"pgd"`, `"pgd-2"` ...
        name: Function that names an adversary of a list.

    Raises:
        TypeError: If it is none of these.
    """
    if isinstance(adversaries, Adversary):
        adversaries = [adversaries]
    if not isinstance(adversaries, (dict, list, tuple)):
        raise TypeError(
            "Adversaries must be a dictionary by name, a list, or one alone, "
            'such as {"pgd": tfr.attacks.PGD(threat)}. '
            f"Received: {type(adversaries).__name__}"
        )
    if isinstance(adversaries, dict):
        return adversaries
    return distinct((name(adversary), adversary) for adversary in adversaries)


def distinct(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Values by name: another one of the same name gets a number, `"pgd-2"`."""
    by_name: dict[str, Any] = {}
    for name, value in pairs:
        unique, number = name, 1
        while unique in by_name:
            number += 1
            unique = f"{name}-{number}"
        by_name[unique] = value
    return by_name


def parts_of(adversary: Adversary) -> list[Adversary]:
    """The adversaries that it holds itself."""
    held = tf.nest.flatten(vars(adversary))
    return [part for part in held if isinstance(part, Adversary)]


def _against(parts, threat):
    """Named parts, with the threat of each replaced."""
    new = dict(parts)
    for name, value in parts.items():
        if isinstance(value, Adversary):
            new[name] = value.against(threat)
        elif isinstance(value, dict):
            new[name] = _against(value, threat)
        elif name == "threat":
            new[name] = threat
    return new
