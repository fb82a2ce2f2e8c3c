"""Training under Gaussian noise, for randomized smoothing."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses, streams
from tfrobust.backend import register
from tfrobust.gradients import input_gradient
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.threats import Threat
from tfrobust.types import Amount, Model, TensorLike


@register
class Noisy(Objective):
    """The mean loss at points under Gaussian noise.

    What `verifiers.RandomizedSmoothing` of the same sigma needs: a network
    that answers under noise. Noise isn't clipped to the valid range.

    Args:
        sigma: Standard deviation of the noise, in the units of x.
        draws: How many draws of each example; each costs a pass.
        seed: Integer that keys the noise, with example and step.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        `Noisy(0.25)`

    Reference: Cohen et al., 2019, arXiv 1902.02918, section 3.3.
    """

    of_classes = True

    def __init__(self, sigma: float, draws: int = 1, seed: int = 0):
        self._set(sigma, draws, seed)

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        logits = self._answers(model, x, self._noise(x), training=True)
        return Outcome(self._loss(y, logits))

    def _set(self, sigma, draws, seed):
        checks.number(sigma, "sigma", low=0.0)
        checks.count(draws, "draws")
        checks.kind(seed, int, "seed", "0")
        self.sigma, self.draws, self.seed = sigma, draws, seed

    def _noise(self, x):
        """Shape `[draws, batch, ...]`."""
        seed = streams.fold(self.seed, self.step)
        draws = [streams.normal(x, seed, k) for k in range(self.draws)]
        return self.sigma * tf.stack(draws)

    def _answers(self, model, x, noise, training=False):
        """The logits of each draw, `[draws, batch, classes]`."""
        points = tf.reshape(x + noise, [-1, *x.shape[1:]])
        logits = tf.cast(model(points, training=training), tf.float32)
        return tf.reshape(logits, [self.draws, -1, *logits.shape[1:]])

    def _loss(self, y, logits):
        each = tf.unstack(logits)
        values = [losses.per_example(self.loss, y, one) for one in each]
        return tf.add_n(values) / self.draws


@register
class Consistency(Noisy):
    """`Noisy`, and answers to one example's draws that agree.

    With the mean p of the probabilities p_k of the draws, it adds
    `weight * mean_k KL(p || p_k) + entropy * H(p)`.

    Args:
        sigma: Standard deviation of the noise, in the units of x.
        weight: Weight of the disagreement, not negative, or a schedule of it:
            in the paper 10 for a sigma of 0.25, and 5 for 0.5 and 1.
        entropy: Weight of the entropy of p, not negative, or a schedule.
        draws: How many draws of each example, at least 2.
        seed: Integer that keys the noise, with example and step.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        `Consistency(0.25)`

    Reference: Jeong and Shin, 2020, arXiv 2006.04062, equation 9.
    """

    def __init__(
        self,
        sigma: float,
        weight: Amount = 10.0,
        entropy: Amount = 0.5,
        draws: int = 2,
        seed: int = 0,
    ):
        self._set(sigma, draws, seed)
        checks.argument(draws > 1, "draws", "be at least 2", draws)
        checks.amount(weight, "weight", low=0)
        checks.amount(entropy, "entropy", low=0)
        self.weight, self.entropy = weight, entropy

    def _loss(self, y, logits):
        logs = tf.nn.log_softmax(logits)
        mean = _log_mean(logs)
        shares = tf.exp(mean)
        apart = tf.reduce_mean(mean - logs, axis=0)
        disagreement = tf.reduce_sum(shares * apart, axis=-1)
        entropy = -tf.reduce_sum(shares * mean, axis=-1)
        values = super()._loss(y, logits)
        return values + self.weight * disagreement + self.entropy * entropy


@register
class SmoothAdv(Noisy):
    """The loss of the smoothed model at the point where it is worst.

    The smoothed model's probabilities are the mean over the draws, which are
    the same in the attack, PGD, and in the loss.

    Args:
        threat: The `Threat` to search, `L2` in the paper.
        sigma: Standard deviation of the noise, in the units of x.
        draws: How many draws of each example; each costs `steps + 1` passes.
        steps: Steps of the attack.
        step_size: Length of a step, as a fraction of epsilon.
        seed: Integer that keys the noise, with example and step.

    Raises:
        TypeError: If `threat` is none.
        ValueError: If an argument is out of its range.

    Example:
        `SmoothAdv(tfr.threats.L2(1.0), 0.25)`

    Reference: Salman et al., 2019, arXiv 1906.04584, equation 6.
    """

    def __init__(
        self,
        threat: Threat,
        sigma: float,
        draws: int = 4,
        steps: int = 10,
        step_size: float = 0.25,
        seed: int = 0,
    ):
        checks.kind(threat, Threat, "threat", "tfr.threats.L2(1.0)")
        self._set(sigma, draws, seed)
        checks.count(steps, "steps")
        checks.number(step_size, "step_size", low=0.0)
        self.threat, self.steps, self.step_size = threat, steps, step_size

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        x = self.threat.checked(x)
        noise, box = self._noise(x), self.threat.box(x)

        def smoothed(points, training=False):
            return _log_mean(
                tf.nn.log_softmax(self._answers(model, points, noise))
            )

        def ascended(logits):
            return losses.per_example(self.loss, y, logits)

        def step(point):
            *_, gradient = input_gradient(smoothed, point, ascended)
            moved = self.threat.ascend(x, point, gradient, self.step_size)
            return (
                tf.ensure_shape(self.threat.project(x, moved, box), x.shape),
            )

        (point,) = tf.while_loop(
            lambda _: True, step, (x,), maximum_iterations=self.steps
        )
        return point, noise

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        point, noise = found
        answers = self._answers(model, point, noise, training=True)
        logits = _log_mean(tf.nn.log_softmax(answers))
        return Outcome(losses.per_example(self.loss, y, logits))


def _log_mean(logs):
    """The logarithm of the mean probability of the draws."""
    count = tf.cast(tf.shape(logs)[0], tf.float32)
    return tf.reduce_logsumexp(logs, axis=0) - tf.math.log(count)
