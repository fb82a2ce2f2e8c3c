"""RobustModel: any Keras model of logits, trained against the worst case."""

import contextlib
import functools

import numpy as np
import tensorflow as tf

from tfrobust import augmentation, backend, checks, hoisting, losses
from tfrobust.averaging import Averaging
from tfrobust.backend import keras, register
from tfrobust.objectives import Clean
from tfrobust.plan import Plan, numbers, results
from tfrobust.reduction import mean_loss, of_some, penalties


@register
class RobustModel(Averaging):
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

    # What rooms above know of files: functions of a configuration to the scope
    # that it is loaded under, and of a network and a path that may refuse.
    load_scopes: list = []
    save_checks: list = []

    def __init__(self, network, name="robust_model", **kwargs):
        super().__init__(name=name, **kwargs)
        backend.check_network(network)
        self.network = network
        self._testing = False
        if network.built:
            self.build(getattr(network, "input_shape", None))

    def call(self, inputs, training=False):
        return self.network(inputs, training=training)

    def build(self, input_shape=None):
        # A subclass builds itself at its first call.
        if isinstance(self.network, keras.Sequential):
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
        weighted_metrics=None,
        **kwargs,
    ):
        """Configures training and evaluation.

        Args:
            optimizer: A Keras optimizer or its name. With `use_ema=True` the
                averaged weights are what is validated and what `fit` ends
                with.
            loss: A Keras loss on logits, which the objective applies per
                example; cross entropy of integer labels by default.
            objective: An `Objective`; standard training by default.
            adversaries: An `Adversary`, a list of some, named after their
                kinds (`pgd`, `pgd-2`), or a dictionary of name to adversary;
                evaluated in `evaluate` and on validation data only. Every
                metric is computed on the logits of each: `pgd_accuracy`.
            metrics: List of Keras metrics of labels and logits, `["accuracy"]`
                by default for classification. For other losses without
                metrics, the adversaries report their loss.
            **kwargs: As in Keras: `run_eagerly`, `steps_per_execution` ...

        Raises:
            ValueError: If the loss reads probabilities, or an adversary has a
                schedule, which leaves open what it should be evaluated at, or
                a random layer inside the network moves the image.
            NotImplementedError: In Keras 3 under a strategy of several workers.
        """
        backend.check_strategy(self.distribute_strategy)
        if weighted_metrics:
            raise TypeError(
                "`weighted_metrics` would be ignored: sample weights scale the "
                f"loss alone. Received: {weighted_metrics!r}. Pass `metrics`."
            )
        # An empty list, or tf_keras warns of every sample weight.
        super().compile(optimizer, weighted_metrics=[], **kwargs)
        loss = losses.get(loss)
        # A plain object: Keras 3 lets a built model track nothing new.
        with self.distribute_strategy.scope():
            self._plan = Plan(
                loss, objective or Clean(), adversaries or [], metrics
            )
        if self.network.built:
            self._plan.split(self.network)
        self._plan.recipe = {
            "optimizer": self.optimizer,
            "loss": loss,
            "objective": objective,
            "adversaries": adversaries,
            "metrics": metrics,
            **kwargs,
        }

    @property
    def metrics(self):
        """All metrics, the loss first."""
        plan = getattr(self, "_plan", None)
        return plan.metrics() if plan else super().metrics

    def get_metrics_result(self):
        """The results over all replicas, which Keras logs after the steps."""
        # Not every release of Keras 3 makes numbers of them.
        return numbers(results(self._plan.shown(self._testing)))

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        plan = self._plan
        if not self.built:
            self(x)
        y = plan.checked(self.network, x, y)
        front, network = plan.split(self.network)
        x = augmentation.augmented(front, x)
        objective = plan.objective.at(self.optimizer.iterations)
        objective = objective.weigh(sample_weight)
        with hoisting.training_step():
            found = objective.search(network, x, y)
            with tf.GradientTape() as tape:
                outcome = objective.outcome(network, x, y, found)
                loss, share = mean_loss(outcome.losses, sample_weight)
                penalty, part = penalties(self)
                total = share + part
        clean = outcome.clean
        if clean is None:
            clean = network(x, training=False)
        backend.minimize(self, total, tape)
        count = tf.shape(outcome.losses)[0]
        plan.loss.update_state(loss + penalty, sample_weight=count)
        shown = [plan.loss, *plan.updated(plan.clean, y, clean)]
        if plan.trained and outcome.worst is not None:
            shown += plan.updated(plan.worst[plan.trained], y, outcome.worst)
        return results(shown)

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        plan = self._plan
        y = plan.checked(self.network, x, y)
        clean = self.network(x, training=False)
        values = losses.per_example(plan.objective.loss, y, clean)
        loss, _ = mean_loss(values, sample_weight)
        penalty, _ = penalties(self)
        count = tf.shape(values)[0]
        plan.loss.update_state(loss + penalty, sample_weight=count)
        plan.updated(plan.clean, y, clean)
        for name, adversary in plan.adversaries.items():
            worst = of_some(
                functools.partial(adversary, self.network, x, y), clean
            )
            plan.updated(plan.worst[name], y, worst)
        return results(plan.shown(testing=True))

    def predict_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self.network(x, training=False)

    def fit(self, x=None, y=None, *args, **kwargs):
        """As in Keras; arrays are checked before the first step."""
        self._check(x, y)
        validation = kwargs.get("validation_data")
        if isinstance(validation, tuple | list):
            self._check(*validation[:2])
        backend.build_optimizer(self)
        with checks.in_one_sentence():
            return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As in Keras; arrays are checked before the first step."""
        self._check(x, y)
        self._testing = True
        try:
            with checks.in_one_sentence():
                return super().evaluate(x, y, *args, **kwargs)
        finally:
            self._testing = False

    def summary(self, *args, **kwargs):
        """Prints the summary of the network."""
        return self.network.summary(*args, **kwargs)

    def save(self, filepath, overwrite=True, **kwargs):
        """As in Keras, but whole or not at all, and only what can be loaded."""
        for check in self.save_checks:
            check(self.network, str(filepath))
        super().save(filepath, overwrite, **kwargs)

    def get_config(self):
        network = keras.saving.serialize_keras_object(self.network)
        return {"name": self.name, "network": network}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        with contextlib.ExitStack() as stack:
            for scope in cls.load_scopes:
                stack.enter_context(scope(config))
            network = keras.saving.deserialize_keras_object(
                config["network"], custom_objects=custom_objects
            )
        return cls(**{**config, "network": network})

    def get_compile_config(self):
        if not hasattr(self, "_plan"):
            return {}
        recipe = {**self._plan.recipe, "training": self._training}
        return {
            name: keras.saving.serialize_keras_object(value)
            for name, value in recipe.items()
        }

    def compile_from_config(self, config):
        if config:
            recipe = keras.saving.deserialize_keras_object(config)
            self._training = recipe.pop("training", False)
            self.compile(**recipe)
            backend.build_optimizer(self)

    def _check(self, x=None, y=None):
        """Checks arrays before Keras makes batches of them."""
        if isinstance(x, np.ndarray) and hasattr(self, "_plan"):
            for threat in self._plan.threats():
                threat.checked(x)
            with self.distribute_strategy.scope():
                self._plan.checked(self.network, x, y)
