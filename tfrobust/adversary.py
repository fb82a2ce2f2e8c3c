"""Adversaries: which logits are the worst that a threat allows?"""

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tensorflow as tf

from tfrobust import hoisting
from tfrobust.configurable import Configurable
from tfrobust.decision import Decision, from_margins
from tfrobust.halves import in_halves
from tfrobust.threats import Threat
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

    threat: Any  # The `Threat` that is searched or bounded.

    def against(self: Self, threat: Threat) -> Self:
        """Returns a copy that answers for another threat, parts included."""
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


class Attack(Adversary):
    """Searches for a point of the threat that maximises a loss.

    An attack changes no variable and sends no gradient to any. Its random
    numbers depend on the example, on `seed` and on the training step alone,
    never on the batch. Compiled for a CPU it attacks the halves of a large
    batch side by side: what Python runs in the model (`tf.numpy_function`)
    must bear to be called by two threads.
    """

    step = 0  # The training step, set by `at`; keys the random numbers.
    takes_start = False  # Whether it searches from any point; see `perturb`.

    def perturb(
        self,
        model: Model,
        x: TensorLike,
        y: TensorLike,
        start: TensorLike | None = None,
    ) -> tf.Tensor:
        """Returns the worst points found, shape and range of x, float32.

        Args:
            model: Any callable `model(x, training=False) -> logits`.
            x: Inputs in the threat's valid range, shape `[batch, ...]`.
            y: Labels, shape `[batch]`.
            start: Where the search starts, or the first of several: of x's
                shape, projected onto the threat, x where it is no number.
                None leaves it to the attack.

        Raises:
            ValueError: If `start` has another shape than x, or the attack or
                one inside doesn't take any.
        """
        x = self.threat.checked(x)
        if start is not None:
            start = self._startable(start, x)

        def perturbed(attack, x, y, start):
            if start is not None:
                start = attack.threat.project(x, start)
            with hoisting.fixed_weights():
                point = attack._perturb(model, x, y, start, attack.step)
            return tf.stop_gradient(point)

        return in_halves(perturbed, self, x, y, start)

    def logits(
        self,
        model: Model,
        point: tf.Tensor,
        y: TensorLike,
        training: bool = False,
    ) -> tf.Tensor:
        return tf.cast(model(point, training=training), tf.float32)

    def at(self: Self, step: TensorLike) -> Self:
        return super().at(step)._replace(step=step)

    @abc.abstractmethod
    def _perturb(self, model, x, y, start, step):
        """Searches the threat.

        Args:
            model: As in `perturb`.
            x: Inputs, checked and float32.
            y: Labels.
            start: Points of the threat; None, always if not `takes_start`.
            step: What keys random numbers beside the seed, a scalar integer.
                An attack hands it to those inside.
        """

    def _startable(self, start, x):
        """Returns points to start from as finite float32."""
        names = [type(part).__name__ for part in _without_start(self)]
        if names:
            raise ValueError(
                f"`start` must be None for {names[0]}, which itself says where "
                "it starts. Pass it to FGSM, PGD, APGD, or what runs these."
            )
        start = tf.cast(start, tf.float32)
        if not start.shape.is_compatible_with(x.shape):
            raise ValueError(
                f"`start` must have the shape of x, {tuple(x.shape)}. "
                f"Received shape {tuple(start.shape)}."
            )
        # It refuses to broadcast what isn't known to have another shape.
        fine = tf.math.is_finite(start)
        return tf.raw_ops.Select(condition=fine, x=start, y=x)


class Verifier(Adversary):
    """Bounds the logits over a whole threat.

    A verifier is a constructor and `margins`. One that knows more than margins
    say, such as a counterexample, says so in `decide`; one that takes much
    memory says how much in `cost`. Where an argument of it is named
    `batch_size` it decides one example after the other, in batches of its own.
    """

    @abc.abstractmethod
    def margins(self, model: Model, x: TensorLike, y: TensorLike) -> tf.Tensor:
        """Lower bounds on `logit_y - logit_j`, shape `[batch, classes]`.

        Entry y is exactly 0.
        """

    def decide(self, model: Model, x: TensorLike, y: TensorLike) -> Decision:
        """Which examples are certified, which are falsified, and how far.

        As the margins say, unless a verifier knows better.
        """
        return from_margins(self.margins(model, x, y), y)

    def cost(self, model: Model, shape: Sequence[int]) -> int | None:
        """Bytes that an example of a batch takes, or an entry of its own batch.

        Args:
            model: Any callable `model(x, training=False) -> logits`.
            shape: Shape of one input.

        Returns:
            An estimate; None of a verifier that fits into any memory.

        Raises:
            NotImplementedError: If the verifier can't bound an op of the model.
        """
        del model, shape  # What nobody estimated needs no plan.
        return None

    def perturb(self, model: Model, x: TensorLike, y: TensorLike) -> tf.Tensor:
        """Returns x once it is checked: nothing is searched."""
        return self.threat.checked(x)

    def logits(self, model, point, y, training=False):
        margins = self.margins(model, point, y)
        # A bound of +inf overflowed: it proves as little as NaN.
        return tf.where(margins < math.inf, -margins, math.nan)


def targeted(adversary: Adversary) -> bool:
    """Whether it, or a part of it, reads labels as classes to reach."""
    return getattr(adversary, "targeted", False) or any(
        targeted(part) for part in _parts(adversary)
    )


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
    by_name = {}
    for adversary in adversaries:
        unique = first = name(adversary)
        number = 1
        while unique in by_name:
            number += 1
            unique = f"{first}-{number}"
        by_name[unique] = adversary
    return by_name


def _without_start(attack):
    """Those of an attack and its parts that take no start."""
    refusing = [] if attack.takes_start else [attack]
    for part in _parts(attack):
        refusing += _without_start(part)
    return refusing


def _parts(adversary):
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
