"""Adversaries: which logits are the worst that a threat allows?"""

import abc
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust import hoisting
from tfrobust.configurable import Configurable
from tfrobust.decision import Decision, from_margins
from tfrobust.halves import in_halves
from tfrobust.types import Model, TensorLike


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

    def against(self, threat):
        """Returns a copy that answers for another threat, parts included."""
        return self._replace(**_against(vars(self), threat))

    @abc.abstractmethod
    def search(self, model, x, y):
        """Returns the points, of x's shape, at which `logits` are read."""

    @abc.abstractmethod
    def logits(self, model, point, y, training=False):
        """Returns the worst logits, read at what `search` found."""

    def __call__(self, model, x, y, training=False):
        return self.logits(model, self.search(model, x, y), y, training)


class Attack(Adversary):
    """Searches for a point of the threat that maximises a loss.

    An attack changes no variable and sends no gradient to any. Its random
    numbers depend on the example, on `seed` and on the training step alone,
    never on the batch. Compiled for a CPU it attacks the halves of a large
    batch side by side: what Python runs in the model (`tf.numpy_function`)
    must bear to be called by two threads.
    """

    step = 0  # The training step, set by `at`; keys the random numbers.

    def perturb(self, model, x, y):
        """Returns the worst points found, shape and range of x, float32."""

        def perturbed(threat, x, y):
            attack = self.against(threat)
            with hoisting.fixed_weights():
                return tf.stop_gradient(attack._perturb(model, x, y))

        return in_halves(perturbed, self.threat, self.threat.checked(x), y)

    def search(self, model, x, y):
        return self.perturb(model, x, y)

    def logits(self, model, point, y, training=False):
        return tf.cast(model(point, training=training), tf.float32)

    def at(self, step):
        return super().at(step)._replace(step=step)

    @abc.abstractmethod
    def _perturb(self, model, x, y):
        """Searches from x, which is checked and float32."""


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

    def search(self, model, x, y):
        return self.threat.checked(x)

    def logits(self, model, point, y, training=False):
        margins = self.margins(model, point, y)
        # A bound of +inf overflowed: it proves as little as NaN.
        return tf.where(margins < math.inf, -margins, math.nan)


def targeted(adversary):
    """Whether it, or a part of it, reads labels as classes to reach."""
    return getattr(adversary, "targeted", False) or any(
        isinstance(part, Adversary) and targeted(part)
        for part in tf.nest.flatten(vars(adversary))
    )


def named(adversaries):
    """Returns adversaries by name: a dictionary as it is, others by their kind.

    Args:
        adversaries: Dictionary of name to `Adversary`; or one, or a list,
            named after the classes: `"pgd"`, `"pgd-2"` ...

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
    found = {}
    for adversary in adversaries:
        name, number = type(adversary).__name__.lower(), 1
        while (unique := f"{name}-{number}" if number > 1 else name) in found:
            number += 1
        found[unique] = adversary
    return found


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
