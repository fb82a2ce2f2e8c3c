"""The metrics of a model: which ones its loss has, and what they are told."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import backend, losses
from tfrobust.backend import keras
from tfrobust.types import Loss, TensorLike


def targets(loss: Loss) -> str | None:
    """What `loss` compares outputs with.

    Returns:
        `"classes"` for integer labels, `"rows"` for one-hot or soft ones,
        `"bits"` for a label of 0 or 1 for each output, None for others.
    """
    rows = (
        keras.losses.CategoricalCrossentropy,
        keras.losses.CategoricalFocalCrossentropy,
        keras.losses.CategoricalHinge,
    )
    bits = (
        keras.losses.BinaryCrossentropy,
        keras.losses.BinaryFocalCrossentropy,
    )
    if losses.reads_classes(loss):
        return "classes"
    if isinstance(loss, rows):
        return "rows"
    return "bits" if isinstance(loss, bits) else None


def resolved(metrics: Any, loss: Loss) -> list[keras.metrics.Metric]:
    """Returns the metrics that `compile` was given, or those of the loss."""
    if metrics is None:
        metrics = ["accuracy"] if targets(loss) else []
    if isinstance(metrics, dict):
        raise TypeError(
            "`metrics` must be a list, of a model with one output. Received: "
            f"{metrics!r}"
        )
    given = metrics if isinstance(metrics, list | tuple) else [metrics]
    return [_resolve(metric, loss) for metric in given]


def mean_of(loss: Loss) -> keras.metrics.Metric:
    """The metric of a loss itself."""

    def mean_loss(y, logits):
        return losses.per_example(loss, y, logits)

    return keras.metrics.MeanMetricWrapper(mean_loss, name="loss")


def renamed(metric: keras.metrics.Metric, prefix: str) -> keras.metrics.Metric:
    """A new metric like `metric`, named for an adversary."""
    config = metric.get_config()
    config["name"] = f"{prefix}_{metric.name}"
    if type(metric) is keras.metrics.MeanMetricWrapper:
        return keras.metrics.MeanMetricWrapper(metric._fn, name=config["name"])
    return type(metric).from_config(config)


def check_names(metrics: list) -> None:
    """Refuses metrics of one name, of which only the last would be shown."""
    names = [metric.name for metric in metrics]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            "Metrics need names of their own; each of `metrics` is also "
            "computed of each adversary, as in `pgd_accuracy`. Received "
            f"several named {', '.join(map(repr, twice))}. Rename a metric "
            "(name=...) or an adversary."
        )


def update(
    metrics: list, loss: Loss, y: TensorLike, logits: TensorLike
) -> None:
    """Updates metrics of a loss; no number is ever right."""
    logits = surely_wrong(loss, y, logits)
    y = losses.in_a_column(y, logits)
    for metric in metrics:
        metric.update_state(y, logits)


def surely_wrong(loss: Loss, y: TensorLike, outputs: TensorLike) -> tf.Tensor:
    """Returns outputs, those of an example the worst ones if any isn't finite.

    A comparison with NaN is false, so that a metric might take it for right.
    Where `loss` compares with other targets than classes NaN stays NaN, in its
    metrics too.
    """
    outputs = tf.cast(outputs, tf.float32)
    finite = tf.math.is_finite(outputs)
    kind = targets(loss)
    if kind is None:
        return outputs
    if kind == "bits":
        y = tf.cast(losses.in_a_column(y, outputs), tf.float32)
        worst = tf.where(y > 0.5, -math.inf, math.inf)
        return tf.where(finite, outputs, worst)
    if kind == "classes":
        true = losses.true_class(losses.class_labels(y, outputs)[0], outputs)
    else:
        true = y >= tf.reduce_max(y, axis=-1, keepdims=True)
    worst = tf.where(true, -math.inf, 0.0)
    return tf.where(tf.reduce_all(finite, -1, keepdims=True), outputs, worst)


def results(metrics: list) -> dict[str, tf.Tensor]:
    """Returns the results of `metrics` by name."""
    return {metric.name: metric.result() for metric in metrics}


def numbers(logs: dict[str, Any]) -> dict[str, Any]:
    """Returns tensors as numbers and arrays; in graphs they stay tensors."""

    def shown(value):
        if tf.is_symbolic_tensor(value):
            return value
        array = np.asarray(value)
        return array if array.ndim else array.item()

    return tf.nest.map_structure(shown, logs)


def _resolve(metric, loss):
    if metric in ("accuracy", "acc"):
        return _accuracy(loss)
    try:
        found = keras.metrics.get(metric)
    except ValueError:
        found = None
    if not callable(found):
        raise ValueError(
            f"`metrics` must be names in {backend.NAME}.metrics, metrics or "
            f"functions of labels and logits. Received: {metric!r}"
        )
    if isinstance(found, keras.metrics.Metric):
        return found
    return keras.metrics.MeanMetricWrapper(found, name=found.__name__)


def _accuracy(loss):
    """The accuracy that fits the loss's labels."""
    kinds = {
        "classes": keras.metrics.SparseCategoricalAccuracy,
        "rows": keras.metrics.CategoricalAccuracy,
        "bits": _binary_accuracy,
    }
    if not (kind := targets(loss)):
        raise ValueError(
            '"accuracy" in `metrics` needs a loss that tells which labels '
            f"there are. Received: loss={loss!r}. Pass a metric, such as "
            "keras.metrics.SparseCategoricalAccuracy()."
        )
    return kinds[kind](name="accuracy")


def _binary_accuracy(name):
    # Keras's own has no threshold for logits.
    def right(y, logits):
        y = tf.cast(losses.in_a_column(y, logits), tf.float32)
        return tf.cast((logits > 0) == (y > 0.5), tf.float32)

    return keras.metrics.MeanMetricWrapper(right, name=name)
