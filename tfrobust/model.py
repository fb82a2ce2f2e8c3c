"""RobustModel: any Keras model of logits, trained against the worst case."""

import functools
import inspect
from typing import Any

import tensorflow as tf

from tfrobust import backend, checks, hoisting, losses
from tfrobust.arguments import chosen, refuse_weights
from tfrobust.assertions import in_one_sentence
from tfrobust.backend import as_in_keras, keras, register
from tfrobust.instances.indexed import unindexed, unpacked
from tfrobust.instances.memory import Memory
from tfrobust.instances.preparation import make_room, recalled, with_remarks
from tfrobust.metrics import numbers, results
from tfrobust.objectives import Objective
from tfrobust.plan import CLEAN, Plan, of_some
from tfrobust.types import Loss
from tfrobust.wrapper import Wrapper


@register
class RobustModel(Wrapper):
    """Wraps a Keras model of logits for robust training and evaluation.

    Args:
        network: A functional, Sequential or subclassed Keras model that maps
            one input tensor to logits (or to regression outputs).
        name: Name of the wrapper.
        memory: Where objectives keep what they remember of each training
            instance, a `tfr.instances.Memory`; None makes one that takes up
            to 2 GiB.

    Raises:
        TypeError: If `network` isn't a model of the Keras in use.
        ValueError: If `network` ends in a softmax.

    Example:
        model = tfr.RobustModel(network)
        model.compile("adam", epsilon=8 / 255)
        model.fit(x_train, y_train, validation_data=(x_val, y_val))
    """

    _testing = False

    def __init__(
        self,
        network: keras.Model,
        name: str = "robust_model",
        memory: Memory | None = None,
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        backend.check_network(network)
        backend.refuse_several(network)
        self.network = network
        self.memory = Memory(name="memory") if memory is None else memory
        checks.kind(self.memory, Memory, "memory", "tfr.instances.Memory()")
        if network.built:
            self.build(getattr(network, "input_shape", None))

    def call(self, inputs: tf.Tensor, training: Any = False) -> tf.Tensor:
        x, _ = unindexed(inputs)
        return self.network(x, training=training)

    def build(self, input_shape: Any = None) -> None:
        # A subclass builds itself at its first call.
        if isinstance(self.network, keras.Sequential):
            if not self.network.built:
                self.network.build(input_shape)
        self.built = True

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Loss | str | None = None,
        objective: Objective | None = None,
        adversaries: Any = None,
        metrics: Any = None,
        weighted_metrics: None = None,
        run_eagerly: bool | None = None,
        steps_per_execution: int = 1,
        instances: int | None = None,
        epsilon: float | None = None,
        **kwargs,
    ) -> None:
        """Configures training and evaluation.

        Args:
            optimizer: A Keras optimizer or its name. With `use_ema=True` the
                averaged weights are what is validated and what `fit` ends
                with.
            loss: A Keras loss on logits, which the objective applies per
                example; cross entropy of integer labels by default.
            objective: An `Objective`; standard training by default.
            adversaries: An `Adversary`, a list of some, named after their
                classes and steps (`pgd20`, `pgd20-2`), or a dictionary of name
                to adversary; evaluated in `evaluate` and on validation data
                only. Every metric is computed on the logits of each, and in
                training on those of each adversary of the objective:
                `pgd20_accuracy`.
            metrics: List of Keras metrics of labels and logits, `["accuracy"]`
                by default for classification. For other losses without
                metrics, the adversaries report their loss.
            weighted_metrics: Refused; sample weights scale the loss alone.
            run_eagerly: As in Keras.
            steps_per_execution: As in Keras.
            instances: Number of training instances, for an objective that
                remembers something of each; None takes it from the arrays
                that `fit` gets first.
            epsilon: linf radius, for inputs in [0, 1]: the objective is then
                `WorstCase` of PGD-10, and PGD-20 the adversary, unless given.
            **kwargs: What only one Keras has, or with another default.

        Raises:
            TypeError: If an argument would be ignored.
            ValueError: If the loss reads probabilities, or an adversary has a
                schedule, which leaves open what it should be evaluated at, or
                a random layer inside the network moves the image.
            NotImplementedError: In Keras 3 under a strategy of several workers.
        """
        backend.check_strategy(self.distribute_strategy)
        refuse_weights(weighted_metrics, kwargs.pop("loss_weights", None))
        if instances is not None:
            checks.count(instances, "instances")
        objective, adversaries = chosen(epsilon, objective, adversaries)
        # An empty list, or tf_keras warns of every sample weight.
        kwargs["run_eagerly"] = run_eagerly
        kwargs["steps_per_execution"] = steps_per_execution
        super().compile(optimizer, weighted_metrics=[], **kwargs)
        recipe = {
            "optimizer": self.optimizer,
            "loss": losses.get(loss),
            "objective": objective,
            "adversaries": adversaries,
            "metrics": metrics,
            "instances": instances,
            **kwargs,
        }
        # A plain object: Keras 3 lets a built model track nothing new.
        with self.distribute_strategy.scope():
            self._plan = Plan(recipe, self.network)
        if self.network.built:
            self._plan.split(self.network)

    @property
    def metrics(self) -> list:
        """All metrics, the loss first."""
        return self._plan.metrics()

    def get_metrics_result(self) -> dict[str, Any]:
        """The results over all replicas, which Keras logs after the steps."""
        # Not every release of Keras 3 makes numbers of them.
        return numbers(results(self._plan.shown(self._testing)))

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        (x, index), y, sample_weight = unpacked(data)
        plan = self._plan
        if not self.built:
            self(x)
        y = plan.checked(self.network, x, y)
        front, network = plan.split(self.network)
        for layer in front:
            x = tf.cast(layer(x, training=True), tf.float32)
        rows = recalled(self.memory, plan.objective, index)
        now = plan.objective.at(self.optimizer.iterations, rows)
        now = now.weigh(sample_weight)
        with hoisting.training_step():
            found = now.search(network, x, y)
            watched = now.watched(found)
            with tf.GradientTape() as tape:
                if watched is not None:
                    tape.watch(watched)
                outcome = now.outcome(network, x, y, found)
                total = plan.total(self, outcome.losses, sample_weight)
        logits = plan.read(outcome, network, x)
        gradient = backend.minimize(self, total, tape, watched)
        outcome = now.after(outcome, found, gradient)
        if rows:
            self.memory.write(rows["index"], outcome.rows)
        shown = plan.updated(y, logits)
        return results([*shown, *plan.report(outcome.reported)])

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        (x, _), y, sample_weight = unpacked(data)
        plan = self._plan
        y = plan.checked(self.network, x, y)
        network = plan.form.network(self.network)
        clean = network(x, training=False)
        values = losses.per_example(plan.objective.loss, y, clean)
        plan.total(self, values, sample_weight)
        logits = {CLEAN: clean}
        for name, adversary in plan.adversaries.items():
            worst = functools.partial(adversary, network, x, y)
            logits[name] = of_some(worst, clean)
        return results(plan.updated(y, logits))

    def predict_step(self, data: Any) -> tf.Tensor:
        (x, _), _, _ = unpacked(data)
        return self.network(x, training=False)

    @as_in_keras
    @in_one_sentence()
    def fit(self, x=None, y=None, *args, **kwargs):
        """As in Keras; arrays are checked before the first step."""
        given = inspect.signature(self.fit).bind(x, y, *args, **kwargs)
        validation = given.arguments.get("validation_data")
        self._check(x, y)
        if isinstance(validation, tuple | list):
            self._check(*validation[:2])
        self._make_room(x)
        backend.build_optimizer(self)
        given.arguments["callbacks"] = with_remarks(
            given.arguments.get("callbacks"),
            functools.partial(self._plan.remarks, self.memory),
        )
        return super().fit(*given.args, **given.kwargs)

    @as_in_keras
    @in_one_sentence()
    def train_on_batch(self, x, *args, **kwargs):
        """As in Keras."""
        self._check()
        self._make_room(x)
        return super().train_on_batch(x, *args, **kwargs)

    @as_in_keras
    @in_one_sentence()
    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As in Keras; arrays are checked before the first step."""
        self._check(x, y)
        self._testing = True
        try:
            return super().evaluate(x, y, *args, **kwargs)
        finally:
            self._testing = False

    def _check(self, x=None, y=None):
        with self.distribute_strategy.scope():
            self._plan.check(self.network, x, y)

    def _make_room(self, x):
        plan, declared = self._plan, self._plan.recipe["instances"]
        with self.distribute_strategy.scope():
            network = plan.form.network(self.network)
            make_room(self.memory, plan.objective, declared, network, x)
