"""What every attack shares."""

import abc
from collections.abc import Mapping

import tensorflow as tf

from tfrobust import checks, hoisting
from tfrobust.adversary import Adversary, Self, parts_of, targeted
from tfrobust.halves import in_halves
from tfrobust.types import Model, TensorLike


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

    @property
    def reach(self) -> float:
        """How many epsilons away from x its points may be."""
        return 1.0

    def perturb(
        self,
        model: Model,
        x: TensorLike,
        y: TensorLike | None = None,
        start: TensorLike | None = None,
    ) -> tf.Tensor:
        """Returns the worst points found, shape and range of x, float32.

        Args:
            model: Any callable `model(x, training=False) -> logits`.
            x: Inputs in the threat's valid range, shape `[batch, ...]`.
            y: Labels, shape `[batch]`; None for those that the model predicts,
                so that the attack looks for any other answer.
            start: Where the search starts, or the first of several: of x's
                shape, projected onto the threat, x where it is no number.
                None leaves it to the attack.

        Raises:
            ValueError: If x has another shape than the model was built for;
                `start` has another than x, or the attack or one inside doesn't
                take any; or a targeted attack isn't told its targets.
        """
        x = self.threat.checked(x)
        checks.fits(x.shape[1:], model)
        if y is None:
            y = self._predicted(model, x)
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

    def at(
        self: Self,
        step: TensorLike,
        rows: Mapping[str, tf.Tensor] | None = None,
    ) -> Self:
        return super().at(step, rows)._replace(step=step)

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

    def _predicted(self, model, x):
        """The model's own answers, in place of labels."""
        if targeted(self):
            raise ValueError(
                "`y` must hold the classes that a targeted attack is to reach. "
                f"Received: y=None for {self!r}"
            )
        logits = tf.cast(model(x, training=False), tf.float32)
        return tf.argmax(logits, axis=-1, output_type=tf.int32)

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


def _without_start(attack):
    """Those of an attack and its parts that take no start."""
    refusing = [] if attack.takes_start else [attack]
    for part in parts_of(attack):
        refusing += _without_start(part)
    return refusing
