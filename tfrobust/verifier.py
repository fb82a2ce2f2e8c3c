"""What every verifier shares."""

import abc
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust.adversary import Adversary, Self
from tfrobust.decision import Decision, from_margins
from tfrobust.specification import Specification
from tfrobust.types import Model, TensorLike


class Verifier(Adversary):
    """Bounds the logits over a whole threat.

    A verifier is a constructor and `margins`. One that knows more than margins
    say, such as a counterexample, says so in `decide`; one that takes much
    memory says how much in `cost`, and one that makes batches of its own says
    in `within` how they get smaller.
    """

    @abc.abstractmethod
    def margins(self, model: Model, x: TensorLike, y: TensorLike) -> tf.Tensor:
        """Lower bounds on `logit_y - logit_j`, shape `[batch, classes]`.

        Entry y is exactly 0.
        """

    def decide(
        self, model: Model, x: TensorLike, y: TensorLike | Specification
    ) -> Decision:
        """Which examples are certified, which are falsified, and how far.

        As the margins say, unless a verifier knows better.

        Args:
            model: Any callable `model(x, training=False) -> logits`.
            x: Inputs in the threat's valid range, shape `[batch, ...]`.
            y: Labels, shape `[batch]`; or, of verifiers that bound what they
                trace, a `Specification`.
        """
        if isinstance(y, Specification):
            margin = y.margin(self.margins(model, x, y))
            return Decision(margin > 0, tf.zeros_like(margin, tf.bool), margin)
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

    def within(self: Self, size: int) -> tuple[Self, int]:
        """A copy that bounds no more at once, and how many examples it takes.

        Args:
            size: The most examples, or entries of a batch of its own, that
                fit into the memory.

        Returns:
            Itself and `size`, unless a verifier makes batches of its own.
        """
        return self, size

    def settled(self: Self, model: Model, shape: Sequence[int]) -> Self:
        """A copy for which what depends on the weights alone is worked out.

        It says what is true of the weights of this moment only.

        Args:
            model: Any callable `model(x, training=False) -> logits`.
            shape: Shape of one input.

        Returns:
            Itself, unless there is something to work out.
        """
        del model, shape
        return self

    def perturb(self, model: Model, x: TensorLike, y: TensorLike) -> tf.Tensor:
        """Returns x once it is checked: nothing is searched."""
        return self.threat.checked(x)

    def logits(self, model, point, y, training=False):
        margins = self.margins(model, point, y)
        # A bound of +inf overflowed: it proves as little as NaN.
        return tf.where(margins < math.inf, -margins, math.nan)


def refuse_specification(y: Any, verifier: Verifier) -> None:
    """Refuses a specification where labels are needed."""
    if isinstance(y, Specification):
        name = type(verifier).__name__
        raise TypeError(
            f"`y` must hold labels here: {name} asks which class wins. "
            "Received a Specification. Pass it to `margins` or `decide` of "
            "CROWN, AlphaCROWN or another verifier that bounds what it traces."
        )
