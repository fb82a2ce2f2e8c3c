"""What `RobustModel.compile` decided: objective, adversaries, metrics."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import augmentation, checks, kinds, losses, metrics
from tfrobust.adversary import named
from tfrobust.arguments import check_adversary, check_epsilon
from tfrobust.backend import keras
from tfrobust.form import Form
from tfrobust.instances.indexed import unindexed
from tfrobust.mismatches import short_schedules
from tfrobust.objectives import Objective, Outcome
from tfrobust.objectives.objective import kind_and_steps
from tfrobust.types import Model, TensorLike

CLEAN = ""  # The name of what no adversary has touched.


class NoPlan:
    """What a model has before `compile`: nothing to train or to evaluate."""

    recipe: dict = {}

    def metrics(self) -> list:
        return []

    def check(self, network: keras.Model, x: Any, y: Any) -> None:
        """Refuses to go on."""
        raise RuntimeError(
            "A RobustModel must be compiled before it is trained or evaluated. "
            "Call compile, such as model.compile('adam', epsilon=8 / 255)."
        )


class Plan:
    """Objective, adversaries and a list of metrics for each adversary.

    Args:
        recipe: All arguments of `compile`, its loss resolved.
        network: The network that is trained.
    """

    def __init__(self, recipe: dict[str, Any], network: keras.Model):
        loss, objective = recipe["loss"], recipe["objective"]
        if not isinstance(objective, Objective):
            raise TypeError(
                "`objective` must be an objective, such as "
                "tfr.objectives.WorstCase(tfr.attacks.PGD(threat)). "
                f"Received: {objective!r}"
            )
        self.recipe = recipe
        self.form = Form(network, loss)
        self.objective = self.form.part(objective).bind(self.form.loss)
        self.trained = objective.adversaries()
        self.adversaries = dict(named(recipe["adversaries"], kind_and_steps))
        for name, adversary in self.adversaries.items():
            check_adversary(name, adversary)
            self.adversaries[name] = self.form.part(adversary)
        for adversary in self._all():
            check_epsilon(adversary)
        self.loss = keras.metrics.Mean(name="loss")
        clean = metrics.resolved(recipe["metrics"], self.form.metric_loss)
        # A training adversary and one of the same name share their metrics,
        # as Keras shares them between training and validation.
        shown = clean or [metrics.mean_of(self.form.shown_loss)]
        self._metrics = {CLEAN: clean} | {
            name: [metrics.renamed(metric, name) for metric in shown]
            for name in {**self.adversaries, **self.trained}
        }
        self._reported = {
            name: keras.metrics.Mean(name=name)
            for name in self.objective.reported()
        }
        metrics.check_names(self.metrics())
        self._split: tuple[list, keras.Model] | None = None

    def split(self, network: keras.Model) -> tuple[list, keras.Model]:
        """The random layers in front, applied before the attack; the rest."""
        if self._split is None:
            parts = augmentation.split(network) if self.trained else None
            if parts and parts[0] and self.objective.keeps_pixels():
                _refuse_moved(self.objective, parts[0][0])
            front, rest = parts or ([], network)
            self._split = front, self.form.network(rest)
        return self._split

    def metrics(self) -> list:
        """Every metric, the loss first."""
        return [*self._of(self._metrics), *self._reported.values()]

    def shown(self, testing: bool) -> list:
        """The metrics of an evaluation, or of a training epoch."""
        if testing:
            return self._of([CLEAN, *self.adversaries])
        trained = self._of([CLEAN, *self.trained])
        return [*trained, *self._reported.values()]

    def check(self, network: keras.Model, x: Any, y: Any) -> None:
        """Checks arrays before Keras makes batches of them."""
        x, _ = unindexed(x)
        _refuse_several(x)
        if isinstance(x, np.ndarray):
            if not len(x):
                raise ValueError("`x` must hold at least one example.")
            self.checked(network, x, y)
            for adversary in self._all():
                adversary.threat.checked(x)

    def remarks(self, memory: Any, begin: int, end: int | None) -> list[str]:
        """What to warn of before training from a step to another."""
        found = [*self.objective.remarks(memory)]
        if end:
            tested = self.adversaries
            found += short_schedules(self.trained, tested, begin, end)
        return found

    def checked(self, network: keras.Model, x: Any, y: Any) -> Any:
        """Returns labels after checking them, and inputs but for their range.

        What the labels hold is checked if the loss reads classes.
        """
        _refuse_several(x)
        checks.fits(x.shape[1:], network)
        if y is None:
            raise ValueError(
                "`y` must hold labels. Received inputs alone. Pass "
                "fit(x, y), or a dataset of (x, y)."
            )
        if not losses.reads_classes(self.objective.loss):
            return y
        network = self.form.network(network)
        shape = getattr(network, "output_shape", None)
        if shape is None:  # Of a subclass, which has a shape for each input.
            shape = network(x[:1], training=False).shape
        return checks.labels(y, tf.TensorSpec([x.shape[0], *shape[1:]]))

    def read(
        self, outcome: Outcome, network: Model, x: TensorLike
    ) -> dict[str, tf.Tensor]:
        """Logits by name of a training step, the clean ones if metrics do."""
        if not self._metrics[CLEAN]:
            return outcome.worst
        clean = outcome.clean
        if clean is None:
            clean = network(x, training=False)
        return {CLEAN: clean, **outcome.worst}

    def report(self, values: dict[str, tf.Tensor]) -> list:
        """Returns the metrics of what the objective reports, updated."""
        for name, value in values.items():
            self._reported[name].update_state(value)
        return [self._reported[name] for name in values]

    def updated(self, y: TensorLike, logits: dict[str, tf.Tensor]) -> list:
        """Returns the metrics of logits by name, after updating them."""
        unknown = sorted(logits.keys() - self._metrics.keys())
        if unknown:
            raise ValueError(
                "`Outcome.worst` must hold logits by the names of the "
                f"objective's adversaries: {', '.join(self.trained)}. "
                f"Received also: {', '.join(unknown)}. Use `by_name`."
            )
        for name, outputs in logits.items():
            outputs = self.form.outputs(outputs)
            metrics.update(
                self._metrics[name], self.form.metric_loss, y, outputs
            )
        return self._of(logits)

    def total(
        self, model: Any, values: tf.Tensor, sample_weight: TensorLike | None
    ) -> tf.Tensor:
        """Logs the losses of a batch, and returns what to descend.

        Args:
            model: The model whose layers may add to the loss.
            values: Per-example losses, shape `[batch]`.
            sample_weight: One weight for each example, or None.

        Returns:
            This replica's share of the mean over the batch of all replicas.
        """
        mean, share = _mean(values, sample_weight)
        terms = [tf.cast(term, tf.float32) for term in model.losses]
        penalty = tf.add_n(terms) if terms else tf.constant(0.0)
        count = tf.shape(values)[0]
        self.loss.update_state(mean + penalty, sample_weight=count)
        return share + penalty / _replicas()

    def _all(self):
        return [*self.adversaries.values(), *self.trained.values()]

    def _of(self, names):
        return [self.loss, *(m for name in names for m in self._metrics[name])]


def of_some(logits: Callable, clean: tf.Tensor) -> tf.Tensor:
    """Returns `logits()`, not called where this replica has no examples.

    TensorFlow has no gradient of a convolution of none.
    """
    clean = tf.cast(clean, tf.float32)
    if _replicas() == 1:
        return logits()
    some = tf.shape(clean)[0] > 0
    return tf.ensure_shape(tf.cond(some, logits, lambda: clean), clean.shape)


def _refuse_several(x):
    kinds.dense(x, "x")
    if isinstance(x, list | tuple):
        raise TypeError(
            "`x` must be an array or a dataset. Received: "
            f"{type(x).__name__}. Pass np.asarray(x, 'float32')."
        )


def _refuse_moved(objective, layer):
    raise ValueError(
        f"{type(objective).__name__} remembers a perturbation of each "
        f"instance, which {layer.name!r} can't move along. Remove the layer, "
        "and pass augmentation=tfr.instances.CropFlip() to the objective."
    )


def _mean(values, sample_weight):
    """The weighted mean loss of this replica, and its share of the batch's."""
    values = tf.cast(values, tf.float32)
    if sample_weight is not None:
        shape = tf.convert_to_tensor(sample_weight).shape
        if (shape.rank or 0) > 1 and shape[1:].num_elements() != 1:
            raise ValueError(
                "`sample_weight` must hold one weight for each example, shape "
                f"[batch]. Received shape {shape}."
            )
        values *= tf.reshape(tf.cast(sample_weight, values.dtype), [-1])
    count = tf.cast(tf.shape(values)[0], values.dtype)
    context = tf.distribute.get_replica_context()
    whole = context.all_reduce("SUM", count)
    total = tf.reduce_sum(values)
    return tf.math.divide_no_nan(total, count), total / tf.maximum(whole, 1.0)


def _replicas():
    return tf.distribute.get_strategy().num_replicas_in_sync
