"""RobustModel: any Keras model of logits, trained against the worst case."""

import contextlib

import numpy as np
import tensorflow as tf

from tfrobust import backend, checks, losses
from tfrobust.backend import keras, register
from tfrobust.objectives import Clean
from tfrobust.plan import Plan


@register
class RobustModel(keras.Model):
    """Wraps a Keras model of logits for robust training and evaluation.

    Args:
        network: A functional, Sequential or subclassed Keras model that maps
            one input tensor to logits (or to regression outputs).
        name: Name of the wrapper.

    Raises:
        TypeError: If `network` isn't a model of the Keras in use.
        ValueError: If `network` ends in a softmax.

    Example:
        linf = tfr.threats.Linf(8 / 255)
        model = tfr.RobustModel(network)
        model.compile(
            "adam",
            objective=tfr.objectives.WorstCase(tfr.attacks.PGD(linf)),
            adversaries={"pgd": tfr.attacks.PGD(linf, steps=20)},
        )
        model.fit(x, y, validation_data=(x_val, y_val))
    """

    def __init__(self, network, name="robust_model", **kwargs):
        super().__init__(name=name, **kwargs)
        _check_network(network)
        self.network = network
        if network.built:
            self.build(network.input_shape)

    def call(self, inputs, training=False):
        return self.network(inputs, training=training)

    def build(self, input_shape=None):
        if not self.network.built:
            self.network.build(input_shape)
        self.built = True

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        objective=None,
        adversaries=None,
        metrics=None,
        **kwargs,
    ):
        """Configures training and evaluation.

        Args:
            optimizer: A Keras optimizer or its name. With `use_ema=True` the
                averaged weights are what is evaluated.
            loss: A Keras loss on logits, which the objective applies per
                example; cross entropy of integer labels by default.
            objective: An `Objective`; standard training by default.
            adversaries: Dictionary of name to `Adversary`, evaluated in
                `evaluate` and on validation data only. Every metric is
                computed on the logits of each too: `pgd_accuracy`.
            metrics: List of Keras metrics of labels and logits, `["accuracy"]`
                by default for classification. For other losses without
                metrics, the adversaries report their loss.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`, as
                in Keras.

        Raises:
            ValueError: If the loss reads probabilities, or an adversary has a
                schedule, which leaves open what it should be evaluated at.
        """
        super().compile(optimizer=optimizer, **kwargs)
        loss = losses.get(loss)
        self._recipe = {
            "optimizer": self.optimizer,
            "loss": loss,
            "objective": objective,
            "adversaries": adversaries,
            "metrics": metrics,
            **kwargs,
        }
        # A plain object: Keras 3 lets a built model track nothing new.
        self._plan = Plan(loss, objective or Clean(), adversaries or {}, metrics)

    @property
    def metrics(self):
        """All metrics, the loss first."""
        plan = getattr(self, "_plan", None)
        return plan.metrics() if plan else super().metrics

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        network, plan = self.network, self._plan
        if not self.built:
            self(x)
        objective = plan.objective.at(self.optimizer.iterations)
        found = objective.search(network, x, y)
        with tf.GradientTape() as tape:
            outcome = objective.outcome(network, x, y, found)
            loss, share = _mean(outcome.losses, sample_weight)
            total = share + _regularization(self)
        backend.minimize(self, total, tape)
        clean = outcome.clean
        if clean is None:
            clean = network(x, training=False)
        plan.loss.update_state(loss, sample_weight=tf.shape(outcome.losses)[0])
        _update(plan.clean, y, clean)
        if outcome.worst is None:
            return _results([plan.loss, *plan.clean])
        trained = plan.worst[plan.trained]
        _update(trained, y, outcome.worst)
        return _results([plan.loss, *plan.clean, *trained])

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        plan = self._plan
        clean = self.network(x, training=False)
        values = losses.per_example(plan.objective.loss, y, clean)
        loss, _ = _mean(values, sample_weight)
        plan.loss.update_state(loss, sample_weight=tf.shape(values)[0])
        _update(plan.clean, y, clean)
        shown = [plan.loss, *plan.clean]
        for name, adversary in plan.adversaries.items():
            _update(plan.worst[name], y, adversary(self.network, x, y))
            shown += plan.worst[name]
        return _results(shown)

    def predict_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self.network(x, training=False)

    def fit(self, x=None, y=None, *args, **kwargs):
        """As in Keras; arrays are checked before the first step."""
        self._check(x, y)
        self._check(*(kwargs.get("validation_data") or ())[:2])
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As in Keras, with the averaged weights if the optimizer has them."""
        self._check(x, y)
        with self.averaged():
            return super().evaluate(x, y, *args, **kwargs)

    def predict(self, *args, **kwargs):
        """As in Keras, with the averaged weights if the optimizer has them."""
        with self.averaged():
            return super().predict(*args, **kwargs)

    @contextlib.contextmanager
    def averaged(self):
        """Uses the optimizer's averaged weights (`use_ema`) for a while."""
        optimizer = getattr(self, "optimizer", None)
        if not getattr(optimizer, "use_ema", False) or not int(
            optimizer.iterations
        ):
            yield
            return
        saved = [np.asarray(w) for w in self.trainable_variables]
        optimizer.finalize_variable_values(self.trainable_variables)
        try:
            yield
        finally:
            for variable, value in zip(
                self.trainable_variables, saved, strict=True
            ):
                variable.assign(value)

    def summary(self, *args, **kwargs):
        """Prints the summary of the network."""
        return self.network.summary(*args, **kwargs)

    def get_config(self):
        network = keras.saving.serialize_keras_object(self.network)
        return {"name": self.name, "network": network}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        network = keras.saving.deserialize_keras_object(
            config["network"], custom_objects=custom_objects
        )
        return cls(**{**config, "network": network})

    def get_compile_config(self):
        return {
            name: keras.saving.serialize_keras_object(value)
            for name, value in getattr(self, "_recipe", {}).items()
        }

    def compile_from_config(self, config):
        if not config:
            return
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.network.built:
            self.optimizer.build(self.trainable_variables)

    def _check(self, x=None, y=None):
        """Checks arrays against the threats and the network's classes."""
        if not isinstance(x, np.ndarray):
            return
        for threat in self._plan.threats():
            threat.checked(x)
        if losses.reads_classes(self._plan.objective.loss) and y is not None:
            logits = self.network(x[:1], training=False)
            checks.labels(y, tf.broadcast_to(logits, [len(y), logits.shape[1]]))


def _check_network(network):
    if backend.is_foreign_model(network):
        other = "keras" if backend.LEGACY else "tf_keras"
        raise TypeError(
            f"`network` must be a model of {backend.NAME}, the Keras that "
            f"tfrobust runs on here. Received a model of {other}. Set "
            f"TF_USE_LEGACY_KERAS={int(not backend.LEGACY)} before Python "
            f"starts, or build the network with {backend.NAME}."
        )
    if not isinstance(network, keras.Model):
        raise TypeError(
            "`network` must be a Keras model that maps inputs to logits. "
            f"Received: {network!r}"
        )
    last = network.layers[-1] if network.layers else None
    activation = getattr(last, "activation", None)
    if isinstance(last, keras.layers.Softmax) or (
        activation is keras.activations.softmax
    ):
        raise ValueError(
            "`network` must return logits. Received a network whose last "
            f"layer, {last.name!r}, applies a softmax. Remove it, or set "
            "activation=None."
        )


def _mean(values, sample_weight):
    """The weighted mean loss of this replica, and its share of the batch's."""
    if sample_weight is not None:
        values *= tf.reshape(tf.cast(sample_weight, values.dtype), [-1])
    count = tf.cast(tf.shape(values)[0], values.dtype)
    context = tf.distribute.get_replica_context()
    whole = context.all_reduce("SUM", count)
    total = tf.reduce_sum(values)
    return tf.math.divide_no_nan(total, count), total / tf.maximum(whole, 1.0)


def _regularization(model):
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    terms = [tf.cast(term, tf.float32) for term in model.losses]
    return tf.add_n(terms) / replicas if terms else 0.0


def _update(metrics, y, logits):
    for metric in metrics:
        metric.update_state(y, logits)


def _results(metrics):
    return {metric.name: metric.result() for metric in metrics}
