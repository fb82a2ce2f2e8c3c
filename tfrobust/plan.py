"""What `RobustModel.compile` decided: objective, adversaries, metrics."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import augmentation, backend, checks, losses, targets
from tfrobust.adversary import Adversary, named, targeted
from tfrobust.backend import keras
from tfrobust.objectives import Objective


class Plan:
    """Objective, adversaries and a list of metrics for each adversary.

    Args:
        loss: A resolved loss on logits.
        objective: The training `Objective`.
        adversaries: As in `compile`: for evaluation.
        metrics: What `compile` was given.
    """

    def __init__(self, loss, objective, adversaries, metrics):
        if not isinstance(objective, Objective):
            raise TypeError(
                "`objective` must be an objective, such as "
                "tfr.objectives.WorstCase(tfr.attacks.PGD(threat)). "
                f"Received: {objective!r}"
            )
        adversaries = dict(named(adversaries))
        for name, adversary in adversaries.items():
            check_adversary(name, adversary)
        for owner in [*adversaries.values(), *objective.adversaries()]:
            _check_epsilon(owner)
        self.recipe: dict[str, Any] = {}  # All arguments of `compile`.
        self._split: Any = None
        self.objective = objective.bind(loss)
        self.adversaries = adversaries
        self.loss = keras.metrics.Mean(name="loss")
        self.clean = [
            _resolve(metric, loss) for metric in _given(metrics, loss)
        ]
        # The training adversary and one of the same name share their metrics,
        # as Keras shares them between training and validation.
        trained = self.objective.adversaries()
        self.trained = type(trained[0]).__name__.lower() if trained else None
        names = [*adversaries, *([self.trained] if trained else [])]
        shown = self.clean or [_loss_metric(loss)]
        self.worst = {n: [_renamed(m, n) for m in shown] for n in names}

    def split(self, network):
        """The random layers in front, applied before the attack; the rest."""
        if self._split is None:
            attacked = self.objective.adversaries()
            parts = augmentation.split(network) if attacked else ([], network)
            self._split = parts
        return self._split

    def metrics(self):
        """Every metric, the loss first."""
        worst = [m for metrics in self.worst.values() for m in metrics]
        return [self.loss, *self.clean, *worst]

    def shown(self, testing):
        """The metrics of an evaluation, or of a training epoch."""
        names = self.adversaries if testing else filter(None, [self.trained])
        worst = [metric for name in names for metric in self.worst[name]]
        return [self.loss, *self.clean, *worst]

    def checked(self, network, x, y):
        """Returns labels after checking them, if the loss reads classes."""
        if y is None:
            raise ValueError(
                "`y` must hold labels. Received inputs alone. Pass "
                "fit(x, y), or a dataset of (x, y)."
            )
        if not losses.reads_classes(self.objective.loss):
            return y
        # Only the shape is used, so compiled steps drop this forward pass.
        logits = network(x[:1], training=False)
        shape = [tf.shape(x)[0], logits.shape[-1]]
        return checks.labels(y, tf.broadcast_to(logits, shape))

    def updated(self, metrics, y, logits):
        """Returns `metrics` after updating them; no number is ever right."""
        logits = targets.surely_wrong(self.objective.loss, y, logits)
        y = losses.in_a_column(y, logits)
        for metric in metrics:
            metric.update_state(y, logits)
        return metrics

    def threats(self):
        """The threats of every adversary, for checks of the input range."""
        owners = [*self.adversaries.values(), *self.objective.adversaries()]
        return [owner.threat for owner in owners]


def results(metrics):
    """Returns the results of `metrics` by name."""
    return {metric.name: metric.result() for metric in metrics}


def numbers(logs):
    """Returns tensors as numbers and arrays; in graphs they stay tensors."""

    def shown(value):
        if tf.is_symbolic_tensor(value):
            return value
        array = np.asarray(value)
        return array if array.ndim else array.item()

    return tf.nest.map_structure(shown, logs)


def check_adversary(name, adversary):
    """Refuses what can't be evaluated against true labels."""
    if not isinstance(adversary, Adversary):
        raise TypeError(
            "`adversaries` must map names to adversaries, such as "
            '{"pgd": tfr.attacks.PGD(threat)}. '
            f"Received: {name!r}: {adversary!r}"
        )
    if adversary.schedules():
        raise ValueError(
            "An adversary that is evaluated needs one fixed strength. "
            f"Received: {name!r} with a schedule for {adversary.schedules()}. "
            "Pass a number, such as threat.replace(epsilon=0.3)."
        )
    if targeted(adversary):
        raise ValueError(
            "A targeted attack needs target classes, but `evaluate` has only "
            f"the true ones. Received: {name!r}: {adversary!r}. Call its "
            "`perturb` with the targets."
        )


def _check_epsilon(adversary):
    shape = tf.TensorShape(getattr(adversary.threat.epsilon, "shape", ()))
    if shape.rank == 1:
        raise ValueError(
            "`epsilon` must not depend on the example: batches are shuffled. "
            f"Received shape {shape}. For a radius of each feature give it "
            "the rank of a batch: epsilon[np.newaxis]."
        )


def _given(metrics, loss):
    if metrics is None:
        return ["accuracy"] if _accuracy(loss) else []
    if isinstance(metrics, dict):
        raise TypeError(
            "`metrics` must be a list, of a model with one output. Received: "
            f"{metrics!r}"
        )
    return metrics if isinstance(metrics, list | tuple) else [metrics]


def _resolve(metric, loss):
    if metric in ("accuracy", "acc"):
        if not (accuracy := _accuracy(loss)):
            raise ValueError(
                '"accuracy" in `metrics` needs a loss that tells which labels '
                f"there are. Received: loss={loss!r}. Pass a metric, such as "
                "keras.metrics.SparseCategoricalAccuracy()."
            )
        return accuracy(name="accuracy")
    try:
        found = keras.metrics.get(metric)
    except ValueError:
        found = None
    if not callable(found):
        raise ValueError(
            f"`metrics` must be names in {backend.NAME}.metrics, metrics or "
            f"functions of labels and logits. Received: {metric!r}"
        )
    metric = found
    if isinstance(metric, keras.metrics.Metric):
        return metric
    return keras.metrics.MeanMetricWrapper(metric, name=metric.__name__)


def _accuracy(loss):
    """The class of accuracy that fits the loss's labels, or None."""
    if losses.reads_classes(loss):
        return keras.metrics.SparseCategoricalAccuracy
    if targets.reads_rows(loss):
        return keras.metrics.CategoricalAccuracy
    if targets.reads_bits(loss):
        return _binary_accuracy
    return None


def _binary_accuracy(name):
    # Keras's own has no threshold for logits.
    def right(y, logits):
        y = tf.cast(losses.in_a_column(y, logits), tf.float32)
        return tf.cast((logits > 0) == (y > 0.5), tf.float32)

    return keras.metrics.MeanMetricWrapper(right, name=name)


def _loss_metric(loss):
    def mean_loss(y, logits):
        return losses.per_example(loss, y, logits)

    return keras.metrics.MeanMetricWrapper(mean_loss, name="loss")


def _renamed(metric, prefix):
    """A new metric like `metric`, named for an adversary."""
    config = metric.get_config()
    config["name"] = f"{prefix}_{metric.name}"
    if type(metric) is keras.metrics.MeanMetricWrapper:
        return keras.metrics.MeanMetricWrapper(metric._fn, name=config["name"])
    return type(metric).from_config(config)
