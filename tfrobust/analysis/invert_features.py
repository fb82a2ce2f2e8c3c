"""Inputs that look the same to a layer."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.adam import Adam
from tfrobust.analysis.problem import floats, in_batches
from tfrobust.averaging import on_network
from tfrobust.backend import keras
from tfrobust.gradients import input_gradient
from tfrobust.threats import arguments
from tfrobust.threats.rows import flat
from tfrobust.types import TensorLike


class Inverted(NamedTuple):
    """What `invert_features` found.

    Attributes:
        images: Of x's shape, float32.
        distance: `|f(images) - f(x)| / |f(x)|`, f the layer, `[batch]`; NaN
            where f(x) is 0.
        start_distance: The same of the noise that it began with.
        error: Mean squared difference of images and x, shape `[batch]`.
    """

    images: np.ndarray
    distance: np.ndarray
    start_distance: np.ndarray
    error: np.ndarray


@on_network
def invert_features(
    model: keras.Model,
    layer: str,
    x: TensorLike,
    steps: int = 200,
    learning_rate: float = 0.05,
    low: float = 0.0,
    high: float = 1.0,
    batch_size: int = 128,
    seed: int = 0,
) -> Inverted:
    """Searches, from noise, inputs with the features of others.

    Adam descends the relative distance of the features; each step is clipped
    to the valid range, and the iterate of the least distance is kept.

    Args:
        model: A `RobustModel` or a Keras model, functional or Sequential.
        layer: Name of the layer of the model whose output is inverted.
        x: Inputs in `[low, high]`, shape `[batch, ...]`, floating point.
        steps: Number of steps.
        learning_rate: Length of a step, a fraction of `high - low`.
        low: Smallest valid value of an input.
        high: Largest valid value of an input.
        batch_size: Number of examples that are worked on at once.
        seed: Integer that keys the noise, which is uniform.

    Returns:
        An `Inverted`.

    Raises:
        TypeError: If `model` is no Keras model.
        ValueError: If another argument isn't as expected, or no gradient
            reaches the model's input.

    Example:
        `tfr.analysis.invert_features(model, "features", x).error.mean()`

    Reference: Mahendran and Vedaldi, 2015, arXiv 1412.0035, equation 1, of
    robust models: Engstrom et al., 2019, arXiv 1906.00945.
    """
    checks.count(steps, "steps")
    checks.number(learning_rate, "learning_rate", 0)
    checks.finite(low=low, high=high)
    checks.count(batch_size, "batch_size")
    arguments.ends(low, high)
    x = floats(x, "x")
    checks.inputs(x, low, high)
    features = _features(model, layer)

    def inverted(x):
        start = low + (high - low) * streams.uniform(x, seed)
        size = learning_rate * (high - low)
        return _descend(features, x, start, steps, size, (low, high))

    images, least, first = in_batches(inverted, batch_size, x)
    rest = (images - x).reshape(len(x), -1).astype(np.float64)
    return Inverted(images, least, first, np.mean(rest**2, axis=1))


def _descend(features, x, start, steps, size, ends):
    """The best iterate, its distance, and the distance of the start."""
    wanted = flat(tf.cast(features(x, training=False), tf.float32))
    scale = tf.norm(wanted, axis=1)

    def distance(found):
        gap = tf.norm(flat(found) - wanted, axis=1)
        return gap / scale

    def step(k, point, adam, best, least):
        values, _, gradient = input_gradient(features, point, distance)
        best, least = _better(values, point, best, least)
        uphill, adam = adam.step(gradient)
        point = tf.clip_by_value(point - size * uphill, *ends)
        return k + 1, tf.ensure_shape(point, x.shape), adam, best, least

    first = distance(tf.cast(features(start, training=False), tf.float32))
    _, point, _, best, least = tf.while_loop(
        lambda k, *_: k < steps,
        step,
        (0, start, Adam.begin(start), start, first),
    )
    values = distance(tf.cast(features(point, training=False), tf.float32))
    best, least = _better(values, point, best, least)
    # Relative to nothing there is no distance.
    known = scale > 0
    return best, *(tf.where(known, v, np.nan) for v in (least, first))


def _better(values, point, best, least):
    """The points of lower values."""
    better = values < least
    chosen = tf.reshape(better, [-1] + [1] * (len(point.shape) - 1))
    best = tf.where(chosen, point, best)
    return best, tf.where(better, values, least)


def _features(model: Any, layer: str) -> Callable[..., Any]:
    """The model up to the output of the layer of that name."""
    checks.kind(model, keras.Model, "model", "a RobustModel")
    names = [part.name for part in model.layers]
    expected = f"name a layer of the model, one of {', '.join(names)}"
    checks.argument(layer in names, "layer", expected, repr(layer))
    try:
        output = model.get_layer(layer).output
        return keras.Model(model.inputs, output)
    except (AttributeError, RuntimeError, ValueError, TypeError) as error:
        raise ValueError(
            "`model` must be functional or Sequential, built, and call the "
            f"layer once. Received: {model.name!r}, with layer {layer!r}, "
            f"where that fails: {error}"
        ) from error
