"""One perturbation for every input."""

import numpy as np
import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.attack import Attack
from tfrobust.attacks.deepfool import DeepFool
from tfrobust.backend import register
from tfrobust.gradients import input_gradient
from tfrobust.progress import Progress
from tfrobust.threats import L2, Threat
from tfrobust.tracing import compiled
from tfrobust.types import Model, TensorLike


@register
class Universal(Attack):
    """Adds one and the same perturbation to every input.

    `learn` finds it on some data. How much it fools on other data is what
    `tfr.evaluate` or `tfr.attack` say of this attack.

    Args:
        threat: The set to stay in, a `Threat`.
        perturbation: What is added, of the shape of one input. What leaves
            the threat or its range is projected.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Not used.

    Raises:
        ValueError: If the perturbation isn't finite, or, when called, not of
            the shape of one input.

    Example:
        ```
        universal = Universal.learn(model, x_train, y_train, threat)
        found = tfr.attack(model, x_test, y_test, attack=universal)
        print(np.mean(found.success), universal.perturbation.shape)
        ```

    Reference: Moosavi-Dezfooli et al., 2017, arXiv 1610.08401.
    """

    def __init__(self, threat: Threat, perturbation: TensorLike):
        checks.kind(threat, Threat, "threat", "tfr.threats.Linf(8 / 255)")
        found = np.asarray(perturbation, np.float32)
        fine = bool(np.all(np.isfinite(found)))
        checks.argument(fine, "perturbation", "be finite", perturbation)
        self.threat, self.perturbation = threat, found

    @classmethod
    def learn(
        cls,
        model: Model,
        x: TensorLike,
        y: TensorLike,
        threat: Threat,
        method: str = "gradient",
        epochs: int = 5,
        batch_size: int = 64,
        step_size: float = 0.1,
        cap: float = 9.0,
        enough: float = 1.0,
        seed: int = 0,
        verbose: int = 1,
    ) -> "Universal":
        """Looks for the perturbation that fools the most inputs.

        Of those that the epochs end with, the best one is returned.

        Args:
            model: Any callable `model(x, training=False) -> logits`.
            x: Inputs in the threat's valid range, shape `[n, ...]`.
            y: Integer labels, shape `[n]`.
            threat: The `Threat` to stay in, of an epsilon that isn't one for
                each example.
            method: `"gradient"` steps along the mean gradient of the cross
                entropy in each batch, cut off at `cap`; `"deepfool"` adds, one
                input after the other, the least move in l2 that fools it too,
                and is slower.
            epochs: How often the data is gone through, at least 1.
            batch_size: Inputs of one gradient.
            step_size: Length of a gradient step as a fraction of epsilon.
            cap: What is fooled by a larger loss no longer counts.
            enough: The share of misclassified inputs at which to stop.
            seed: Integer that keys the order of the inputs.
            verbose: 1 for a progress bar, 0 for silence.

        Reference: gradient steps: Shafahi et al., 2020, arXiv 1811.11304,
        algorithm 1; DeepFool: Moosavi-Dezfooli et al., 2017, arXiv 1610.08401,
        algorithm 1.
        """
        _check(threat, method, epochs, batch_size, step_size, enough)
        x = threat.checked(x).numpy()
        classes = model(x[:1], training=False).shape[-1]
        y = checks.labels(y, tf.TensorSpec([len(x), classes])).numpy()
        best = cls(threat, np.zeros(x.shape[1:]))
        if method == "deepfool":
            batch_size, step = 1, compiled(best._beyond(model))
        else:
            step = compiled(best._uphill(model, step_size, cap))
        starts = range(0, len(x), batch_size)
        bar = Progress("universal", epochs * len(starts), verbose)
        judged = compiled(best._judged(model))
        delta, rate = tf.zeros([1, *x.shape[1:]]), -1.0
        random = np.random.default_rng(seed)
        for _ in range(epochs):
            order = random.permutation(len(x))
            for start in starts:
                some = order[start : start + batch_size]
                delta = step(delta, x[some], y[some])
                bar.step()
            now = float(np.mean(judged(delta, x, y)))
            if now > rate:
                best, rate = cls(threat, delta[0]), now
            if rate >= enough:
                break
        return best

    def _perturb(self, model, x, y, start, step):
        shape = self.perturbation.shape
        if not x.shape[1:].is_compatible_with(shape):
            raise ValueError(
                "`perturbation` must have the shape of one input, "
                f"{tuple(x.shape[1:])}. Received shape {shape}."
            )
        return self.threat.project(x, x + self.perturbation)

    def _uphill(self, model, step_size, cap):
        """A step along the mean gradient, as a function."""

        def step(delta, x, y):
            point = self._clipped(x + delta)
            _, _, gradient = input_gradient(
                model,
                point,
                lambda z: tf.minimum(losses.cross_entropy(y, z), cap),
            )
            # What the range stops has no gradient.
            gradient = tf.where(point == x + delta, gradient, 0.0)
            mean = tf.reduce_mean(gradient, axis=0, keepdims=True)
            ball, zero = self._boundless(), tf.zeros_like(delta)
            moved = ball.ascend(zero, delta, mean, step_size)
            return ball.project(zero, moved)

        return step

    def _beyond(self, model):
        """The move that fools one more input, if it has to, as a function."""
        # The least move in l2, whatever the ball.
        ball = self.threat
        attack = DeepFool(L2(1.0, ball.low, ball.high, ball.mask))

        def step(delta, x, y):
            point = self._clipped(x + delta)
            there, distance = attack.nearest(model, point, y)
            reached = tf.math.is_finite(distance[0]) & (there != point)
            moved = tf.where(reached, there - x, delta)
            return self._boundless().project(tf.zeros_like(delta), moved)

        return step

    def _judged(self, model):
        """Which inputs a perturbation fools, as a function."""

        def judged(delta, x, y):
            logits = self.logits(model, self._clipped(x + delta), y)
            return tf.argmax(logits, axis=1, output_type=y.dtype) != y

        return judged

    def _boundless(self):
        """The threat without its range: the ball around 0."""
        return self.threat._replace(low=-np.inf, high=np.inf)

    def _clipped(self, x):
        return tf.clip_by_value(x, self.threat.low, self.threat.high)


def _check(threat, method, epochs, batch_size, step_size, enough):
    """Refuses arguments of `learn` that are out of their range."""
    checks.kind(threat, Threat, "threat", "tfr.threats.Linf(8 / 255)")
    shared = np.ndim(threat.epsilon) != 1
    expected = "have one epsilon for all examples"
    checks.argument(shared, "threat", expected, threat)
    known = method in ("gradient", "deepfool")
    expected = 'be "gradient" or "deepfool"'
    checks.argument(known, "method", expected, method)
    checks.count(epochs, "epochs")
    checks.count(batch_size, "batch_size")
    checks.number(step_size, "step_size", 0)
    checks.number(enough, "enough", 0, 1)
