"""Single-step adversarial training that has come to nothing."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.attack import Attack
from tfrobust.attacks import FGSM, severity
from tfrobust.backend import keras
from tfrobust.callbacks.symptoms import Check, symptoms
from tfrobust.evaluation.batches import labelled
from tfrobust.gradients import input_gradient
from tfrobust.model import RobustModel
from tfrobust.objectives import Objective
from tfrobust.objectives.arguments import check_adversary
from tfrobust.plan import Plan
from tfrobust.threats.rows import cosine, flat

_ACTIONS = "warn", "restore", "stop"


class CatastrophicOverfitting(keras.callbacks.Callback):
    """Notices when only the attack of training is withstood any more.

    At the end of each epoch, or every few steps, it measures on held-out data
    the accuracy without an attack, under one step and under a strong attack,
    and the mean cosine of the input gradients at x and at a random point of
    the threat. Any of these is an alarm:

    - the accuracy under the strong attack fell by more than 0.2 since the last
      check;
    - that under one step rose while that under the strong attack is below 5 %;
    - that under one step exceeds that without an attack;
    - the cosine is below 0.2 and half its highest, or so is `pert_align` where
      `objectives.SingleStep` logs it: that of the gradients before and after
      the step of training.

    It is the weights that are trained that are measured, not their averages.
    Each epoch logs `held_out_accuracy`, `held_out_single_accuracy`,
    `held_out_strong_accuracy`, `held_out_cosine` and the number of alarms so
    far, `catastrophic_overfitting`.

    Args:
        data: A pair of arrays `(x, y)`, or a batched `tf.data.Dataset` of
            pairs, held out; all of it is one batch.
        attack: The strong `Attack`, such as PGD of 10 steps.
        action: What to do beside warning: `"warn"`, nothing; `"restore"`, put
            the last healthy weights back (those before training, if no check
            was healthy); `"stop"`, that, and end training; an `Objective`, such
            as one of more steps, restore and train on with it, which traces
            the steps of training and evaluation once more; or a function
            `action(model, symptoms)` of the model and a list of phrases.
        single: The one-step attack; None is FGSM without a random start.
        every: Number of steps between checks; None checks each epoch's end.

    Optimizer state is not restored. A run that `BackupAndRestore` resumes
    begins anew: with the objective of `compile`, and no healthy weights yet.

    Raises:
        TypeError: If an attack is none, or `action` is none of these.
        ValueError: If an attack is targeted or has a schedule, or `every` is
            below 1; before the first epoch, if an objective is to follow, but
            the model is no `RobustModel`.

    Example:
        monitor = tfr.callbacks.CatastrophicOverfitting(
            (x_val[:500], y_val[:500]), tfr.attacks.PGD(linf, steps=10)
        )

    Reference: Wong et al., 2020, arXiv 2001.03994, section 5.4; the cosine:
    Andriushchenko and Flammarion, 2020, arXiv 2007.02617, section 4.
    """

    def __init__(
        self,
        data: Any,
        attack: Attack,
        action: str | Objective | Callable[..., Any] = "warn",
        single: Attack | None = None,
        every: int | None = None,
    ):
        super().__init__()
        checks.kind(attack, Attack, "attack", "tfr.attacks.PGD(threat)")
        single = FGSM(attack.threat) if single is None else single
        for name, given in {"attack": attack, "single": single}.items():
            check_adversary(given, Attack, name)
            fixed = not given.schedules()
            checks.argument(fixed, name, "have no schedule", given)
        if action not in _ACTIONS and not callable(action):
            raise TypeError(
                f"`action` must be one of {', '.join(_ACTIONS)}, an objective "
                f"or a function. Received: action={checks.shown(action)}"
            )
        if isinstance(action, Objective) and action.remembers():
            raise ValueError(
                "`action` must remember nothing of instances, of which nothing "
                f"is remembered so far. Received: {action!r}. Pass WorstCase."
            )
        if every is not None:
            checks.count(every, "every")
        self.data, self.attack, self.single = data, attack, single
        self.action, self.every = action, every

    def on_train_begin(self, logs: dict | None = None) -> None:
        if isinstance(self.action, Objective):
            example = "tfr.RobustModel(network)"
            checks.kind(self.model, RobustModel, "model", example)
        self.alarms = 0
        self._before: list[Check] = []
        self._healthy: list[np.ndarray] | None = None
        self._measure: Any = None
        self._steps = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if self._healthy is None and self._network().built:
            self._healthy = self._network().get_weights()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self.every is None:
            return
        # Several steps may be executed at once.
        steps = int(tf.convert_to_tensor(self.model.optimizer.iterations))
        if steps // self.every > self._steps // self.every:
            self._check(logs)
        self._steps = steps

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = {} if logs is None else logs
        if self.every is None:
            self._check(logs)
        last = self._last
        logs["held_out_accuracy"] = last.clean
        logs["held_out_single_accuracy"] = last.single
        logs["held_out_strong_accuracy"] = last.strong
        logs["held_out_cosine"] = last.cosine
        logs["catastrophic_overfitting"] = self.alarms

    _last = Check(*[math.nan] * 4)

    def _network(self) -> Any:
        return getattr(self.model, "network", self.model)

    def _check(self, logs):
        now = self._last = self._measured()._replace(
            pert_align=float((logs or {}).get("pert_align", math.nan))
        )
        if found := symptoms(now, self._before):
            self.alarms += 1
            self._act(found)
        else:
            self._healthy = self._network().get_weights()
        restored = found and (
            self.action in _ACTIONS[1:] or isinstance(self.action, Objective)
        )
        if not restored:  # Else what comes next follows the last healthy one.
            self._before.append(now)

    def _measured(self):
        if self._measure is None:
            self._measure = self._measuring()
        return Check(*(float(value) for value in self._measure()))

    def _measuring(self):
        network, threat = self._network(), self.attack.threat
        if isinstance(self.model, RobustModel):
            network = self.model.seen()
        x, y = map(tf.constant, labelled(self.data, threat, network))

        def share(points):
            logits = tf.cast(network(points, training=False), tf.float32)
            right = severity.lead(y, logits) < 0
            return tf.reduce_mean(tf.cast(right, tf.float32))

        def direction(points):
            def odds(logits):
                return severity.ascended("cross_entropy", y, logits)

            return flat(input_gradient(network, points, odds)[2])

        @tf.function(autograph=False)
        def measured():
            attacks = self.single, self.attack
            points = [attack.perturb(network, x, y) for attack in attacks]
            aligned = cosine(direction(x), direction(threat.sample(x, 0)))
            shares = [share(inputs) for inputs in (x, *points)]
            return *shares, tf.reduce_mean(aligned)

        return measured

    def _act(self, found):
        if callable(self.action) and not isinstance(self.action, Objective):
            self.action(self.model, found)
            return
        warnings.warn(
            f"Catastrophic overfitting: {'; '.join(found)}.", stacklevel=2
        )
        if self.action == "warn":
            return
        if self._healthy is not None:
            _set(self.model, self._network(), self._healthy)
        if self.action == "stop":
            self.model.stop_training = True
        elif isinstance(self.action, Objective):
            _switch(self.model, self.action)


def _set(model, network, weights):
    """Sets the weights, of a `RobustModel` with the averages."""
    (model if isinstance(model, RobustModel) else network).set_weights(weights)


def _switch(model, objective):
    """Trains on with another objective, from the next step on."""
    if model._plan.recipe["objective"] is objective:
        return
    with model.distribute_strategy.scope():
        recipe = {**model._plan.recipe, "objective": objective}
        model._plan = Plan(recipe, model.network)
    # What was traced keeps the objective and the metrics of its time.
    model.make_train_function(force=True)
    model.make_test_function(force=True)
