"""What the diagnostics examine."""

import functools

import numpy as np
import tensorflow as tf

from tfrobust.attacks import FGSM, PGD, Transfer, severity
from tfrobust.evaluation.diagnostics import TOO_WEAK
from tfrobust.evaluation.runner import Runner
from tfrobust.gradients import input_gradient
from tfrobust.tracing import compiled


class Subject:
    """The model and attack under examination, on some examples.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
        attack: The `PGD` to examine, commonly the strongest that was run.
        x: Inputs, shape `[n, ...]`, float32 array.
        y: Labels, shape `[n]`.
        standing: Which examples no adversary of the evaluation fooled. What
            the diagnostics fool counts only if it is one of these.
        runners: Those that are compiled already, by adversary.
        surrogate: A model with gradients, on which attacks that need them are
            run for a model without; None if the model has gradients itself.
        randomised: Whether the attacks took the mean of several forwards.
    """

    def __init__(
        self,
        model,
        attack,
        x,
        y,
        standing,
        runners=(),
        surrogate=None,
        randomised=False,
    ):
        self.model, self.attack, self.x, self.y = model, attack, x, y
        self.standing, self.randomised = standing, randomised
        self.surrogate = surrogate
        self.differentiable = model if surrogate is None else surrogate
        self._runners = dict(runners)
        self.clean = self.run(None)
        self.attacked = self.run(attack)
        self.accuracy = self.right(self.attacked)
        self.single = self.right(self.run(FGSM(attack.threat)))

    def run(self, adversary, x=None, epsilon=None):
        """Answers of one adversary; see `Runner`."""
        if self.surrogate is not None and isinstance(adversary, (FGSM, PGD)):
            adversary = Transfer(adversary, self.surrogate)
        if adversary not in self._runners:
            shape = self.x.shape[1:]
            self._runners[adversary] = Runner(
                self.model, adversary, shape, largest=len(self.x)
            )
        x = self.x if x is None else x
        return self._runners[adversary](x, self.y, epsilon)

    @functools.cached_property
    def longer(self):
        """Answers of the attack with five times the steps."""
        return self.run(self.attack.replace(steps=5 * self.attack.steps))

    @functools.cached_property
    def on_margin(self):
        """Answers of the attack on the margin loss."""
        return self.run(self.attack.replace(loss="margin"))

    @functools.cached_property
    def at_runner_up(self):
        """Answers where the attack aims at the class that comes second."""
        outputs = self.clean["logits"].copy()
        outputs[np.arange(len(self.y)), self.y] = -np.inf
        attack = self.attack.replace(targeted=True)
        perturb = compiled(
            lambda x, y: attack.perturb(self.differentiable, x, y)
        )
        return self.run(None, perturb(self.x, outputs.argmax(axis=1)))

    @functools.cached_property
    def missed(self):
        """What no adversary fooled, but a stronger attack on the gradient."""
        answers = self.longer, self.on_margin, self.at_runner_up
        right = np.all([answer["correct"] for answer in answers], axis=0)
        return self.standing & ~right

    def right(self, answer):
        """Share that is right both clean and in an answer of `run`."""
        return float(np.mean(answer["correct"] & self.clean["correct"]))

    def fooled(self, answer):
        """Share that an answer of `run` gets wrong, but no adversary did."""
        return float(np.mean(self.standing & ~answer["correct"]))

    def hidden(self, answer):
        """Share that an answer gets wrong, but no attack on the gradient.

        Attacks that miss too much excuse nothing: their gradients may be
        masked from each.
        """
        left = self.standing & ~answer["correct"]
        if np.mean(self.missed) <= TOO_WEAK:
            left = left & ~self.missed
        return float(np.mean(left))

    def gradient(self, x):
        """Input gradients of what attacks on cross entropy ascend, as rows."""

        def loss(logits):
            return severity.odds(self.y, logits)

        x = tf.constant(x)
        gradient = input_gradient(self.differentiable, x, loss)[2]
        return np.reshape(gradient, [len(x), -1])


def has_gradient(model, x):
    """Whether any gradient reaches the model's input."""
    try:
        input_gradient(
            model,
            tf.constant(x),
            lambda logits: tf.reduce_sum(logits, axis=1),
        )
    except (LookupError, ValueError):
        return False
    return True
