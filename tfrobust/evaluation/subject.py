"""What the diagnostics examine."""

import numpy as np
import tensorflow as tf

from tfrobust import streams
from tfrobust.adversary import input_gradient
from tfrobust.attacks import FGSM
from tfrobust.evaluation.runner import Runner
from tfrobust.losses import cross_entropy, margin


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
    """

    def __init__(self, model, attack, x, y, standing, runners=()):
        self.model, self.attack, self.x, self.y = model, attack, x, y
        self.standing = standing
        self._runners = dict(runners)
        self.clean = self.run(None)
        self.attacked = self.run(attack)
        self.accuracy = self.right(self.attacked)
        self.single = self.right(self.run(FGSM(attack.threat)))

    def run(self, adversary, x=None, epsilon=None):
        """Answers of one adversary; see `Runner`."""
        if adversary not in self._runners:
            shape = self.x.shape[1:]
            self._runners[adversary] = Runner(self.model, adversary, shape)
        x = self.x if x is None else x
        return self._runners[adversary](x, self.y, epsilon)

    def right(self, answer):
        """Share that is right both clean and in an answer of `run`."""
        return float(np.mean(answer["correct"] & self.clean["correct"]))

    def fooled(self, answer):
        """Share that an answer of `run` gets wrong, but no adversary did."""
        return float(np.mean(self.standing & ~answer["correct"]))

    def gradient(self, x):
        """Input gradients of the cross entropy, as rows."""

        def loss(logits):
            return cross_entropy(self.y, logits)

        gradient = input_gradient(self.model, tf.constant(x), loss)[2]
        return np.reshape(gradient, [len(x), -1])

    def searched(self, queries):
        """Answers of a random search, which sees only outputs.

        It redraws a shrinking share of the features at random corners of the
        threat's box, and keeps what raises the margin loss.
        """
        threat = self.attack.threat

        @tf.function
        def search(x, y):
            lower, upper = threat.box(x)

            def query(number, best, highest):
                noise = streams.uniform(x, number)
                corner = tf.where(noise < 0.5, lower, upper)
                share = 1 / (1 + tf.cast(number, tf.float32) / 10)
                redrawn = streams.uniform(x, number, stream=1) < share
                point = threat.project(x, tf.where(redrawn, corner, best))
                value = margin(y, self.model(point, training=False))
                wins = tf.reshape(
                    value > highest, [-1] + [1] * (len(x.shape) - 1)
                )
                best = tf.ensure_shape(tf.where(wins, point, best), x.shape)
                return number + 1, best, tf.maximum(value, highest)

            state = 0, x, margin(y, self.model(x, training=False))
            return tf.while_loop(lambda n, *_: n < queries, query, state)[1]

        return self.run(None, search(tf.constant(self.x), self.y))
