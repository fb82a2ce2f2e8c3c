"""How smooth the loss is around each input."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks, losses, streams
from tfrobust.analysis.input_curvature import top_eigenvalues
from tfrobust.analysis.risk import check_float32
from tfrobust.analysis.traced import traced
from tfrobust.attack import Attack
from tfrobust.attacks import PGD
from tfrobust.averaging import on_network
from tfrobust.backend import keras
from tfrobust.evaluation.batches import batches
from tfrobust.gradients import input_gradient
from tfrobust.objectives.arguments import attack_of
from tfrobust.threats import Threat
from tfrobust.threats.rows import column, cosine, flat
from tfrobust.types import Loss, Model, TensorLike


@dataclasses.dataclass(frozen=True)
class InputSmoothness:
    """How smooth the loss L is around each example x, all of shape `[batch]`.

    Args:
        linearity_error: The largest `|L(x + d) - L(x) - d . grad L(x)|` that
            was found in the threat.
        curvature: `|grad L(x') - grad L(x)| / |x' - x|` in the Euclidean norm,
            x' what the attack found; 0 where it found nothing but x.
        eigenvalue: Largest eigenvalue of the Hessian of L by the input at x.
        residual: Norm of `H v - eigenvalue v`: there is an eigenvalue at most
            so far away.
        grad_align: Cosine of the gradients at x and at a random point of the
            threat.
        pert_align: Cosine of the gradients at x and at x'.
    """

    linearity_error: np.ndarray
    curvature: np.ndarray
    eigenvalue: np.ndarray
    residual: np.ndarray
    grad_align: np.ndarray
    pert_align: np.ndarray

    def summary(self) -> dict[str, dict[str, float]]:
        """Mean, median, smallest and largest of each, by name."""
        functions: dict[str, Callable] = {
            "mean": np.mean,
            "median": np.median,
            "min": np.min,
            "max": np.max,
        }
        return {
            name: {of: float(f(values)) for of, f in functions.items()}
            for name, values in vars(self).items()
        }

    def to_dict(self) -> dict:
        """As what JSON can hold."""
        return {name: values.tolist() for name, values in vars(self).items()}


@on_network
def input_smoothness(
    model: Model,
    x: TensorLike,
    y: TensorLike,
    attack: Attack | Threat,
    loss: Loss | str | None = None,
    steps: int = 10,
    products: int = 20,
    batch_size: int = 128,
    seed: int = 0,
) -> InputSmoothness:
    """How smooth the loss is around each input.

    An example costs an attack, `steps` + 4 gradients, and `products` + 1
    Hessian-vector products by the input.

    Args:
        model: A `RobustModel`, or any callable `model(x, training=False) ->
            logits`.
        x: Inputs in the threat's valid range, shape `[batch, ...]`.
        y: Integer labels, shape `[batch]`, or what `loss` compares with.
        attack: An `Attack`, or a `Threat` for PGD of it.
        loss: A Keras loss on logits, a function `(y, logits) -> [batch]`, the
            name of either; None for cross entropy.
        steps: Ascent steps, of a quarter of epsilon, of the search for
            `linearity_error`.
        products: Steps of the Lanczos algorithm for `eigenvalue`.
        batch_size: Number of examples that are worked on at once.
        seed: Integer that keys random points.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If one is out of its range, no gradient reaches the
            model's input, or it computes in other precision than float32.

    Example:
        linf = tfr.threats.Linf(8 / 255)
        found = tfr.analysis.input_smoothness(model, x, y, linf)
        print(found.summary()["linearity_error"])

    Reference: linearity: Qin et al., 2019, arXiv 1907.02610; curvature:
    Moosavi-Dezfooli et al., 2019, arXiv 1811.09716; alignment: Andriushchenko
    and Flammarion, 2020, arXiv 2007.02617.
    """
    search: Any = attack_of(attack, PGD)
    checks.count(steps, "steps")
    checks.count(products, "products")
    if isinstance(model, keras.Model):
        check_float32(model)
    around = _Around(model, search, losses.get(loss), steps, seed)
    found = []
    for part, labels in batches((x, y), batch_size)[0]:
        # Attacks check this too, but their message would come from a graph.
        points = search.threat.checked(part)
        labels = tf.convert_to_tensor(labels)
        measured = [np.array(row) for row in around.measure(points, labels)]
        start = flat(streams.normal(points, seed)).numpy()
        top = top_eigenvalues(around.product(points, labels), start, products)
        found.append([*measured[:2], *top, *measured[2:]])
    if not found:
        raise ValueError("`x` must hold at least one example.")
    rows = [np.concatenate(row) for row in zip(*found, strict=True)]
    return InputSmoothness(*rows)


class _Around:
    """Functions of a batch, compiled once."""

    def __init__(self, model, attack, loss, steps, seed):
        self.model, self.attack, self.loss = model, attack, loss
        self.steps, self.seed = steps, seed
        self._compiled: Any = None

    def measure(self, x, y):
        """Error, curvature, and the two cosines."""
        self._compile(x, y)
        return self._compiled[0](x, y)

    def product(self, x, y):
        """Multiplies rows by the Hessians at x."""
        self._compile(x, y)

        def multiplied(rows):
            vectors = np.reshape(np.float32(rows), x.shape)
            image = self._compiled[1](x, y, tf.constant(vectors))
            return np.reshape(np.asarray(image, np.float64), rows.shape)

        return multiplied

    def _compile(self, x, y):
        if self._compiled:
            return
        x, y = (tf.TensorSpec([None, *p.shape[1:]], p.dtype) for p in (x, y))
        self._compiled = [
            traced(self._measured, x, y),
            traced(self._multiplied, x, y, x),
        ]

    def _measured(self, x, y):
        threat = self.attack.threat
        value, slope = self._slope(x, y)
        worst = self.attack.perturb(self.model, x, y)
        drawn = threat.sample(x, self.seed)
        _, at_worst = self._slope(worst, y)
        _, at_random = self._slope(drawn, y)
        lengths = (
            tf.norm(flat(p), axis=1) for p in (at_worst - slope, worst - x)
        )
        error = self._linearity(x, y, value, slope, drawn)
        rows = [flat(part) for part in (slope, at_random, at_worst)]
        return (
            error,
            tf.math.divide_no_nan(*lengths),
            cosine(rows[0], rows[1]),
            cosine(rows[0], rows[2]),
        )

    def _linearity(self, x, y, value, slope, start):
        """Ascends the distance of the loss from its tangent."""
        threat = self.attack.threat

        def gap(point):
            at, uphill = self._slope(point, y)
            line = tf.reduce_sum(flat((point - x) * slope), axis=1)
            away = at - value - line
            sides = column(tf.sign(away), x)
            return tf.abs(away), sides * (uphill - slope)

        def ascend(k, point, largest):
            error, uphill = gap(point)
            moved = threat.ascend(x, point, uphill, 0.25)
            largest = tf.maximum(largest, error)
            return k + 1, threat.project(x, moved), largest

        _, point, largest = tf.while_loop(
            lambda k, *_: k < self.steps,
            ascend,
            (0, start, tf.zeros_like(value)),
        )
        return tf.maximum(largest, gap(point)[0])

    def _slope(self, point, y):
        """Losses of a point, and their gradients by it."""
        value, _, slope = input_gradient(
            self.model, point, lambda z: losses.per_example(self.loss, y, z)
        )
        return value, slope

    def _multiplied(self, x, y, vectors):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                logits = tf.cast(self.model(x, training=False), tf.float32)
                values = losses.per_example(self.loss, y, logits)
                total = tf.reduce_sum(values)
            slope = inner.gradient(total, x)
        return outer.gradient(
            slope,
            x,
            output_gradients=vectors,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
