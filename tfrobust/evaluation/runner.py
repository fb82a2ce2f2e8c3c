"""Running one adversary on batches, compiled once."""

import math
import time

import numpy as np
import tensorflow as tf

from tfrobust import losses
from tfrobust.adversary import Verifier
from tfrobust.evaluation.counter import Counter


class Runner:
    """Answers for batches what an adversary makes of them.

    One trace serves every batch size and every epsilon.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
        adversary: The `Adversary`, or None for the clean inputs.
        shape: Shape of one input.
    """

    def __init__(self, model, adversary, shape):
        self.adversary, self.seconds = adversary, 0.0
        self._model = Counter(model)
        answer = tf.function(
            self._answer,
            input_signature=[
                tf.TensorSpec([None, *shape], tf.float32),
                tf.TensorSpec([None], tf.int64),
                tf.TensorSpec(None, tf.float32),
            ],
            autograph=False,
        )
        self._compiled = answer.get_concrete_function()

    def __call__(self, x, y, epsilon=None):
        """Returns NumPy arrays by name: see the keys in `_answer`."""
        begin = time.perf_counter()
        if epsilon is None:
            epsilon = self.adversary.threat.epsilon if self.adversary else 0.0
        answer = self._compiled(
            tf.cast(x, tf.float32),
            tf.cast(y, tf.int64),
            tf.cast(epsilon, tf.float32),
        )
        answer = {name: np.asarray(value) for name, value in answer.items()}
        self.seconds += time.perf_counter() - begin
        return answer

    def cost(self):
        """Examples passed forward and backward, and seconds, so far."""
        return np.array([*self._model.passes(), self.seconds])

    def _answer(self, x, y, epsilon):
        point, norm = x, tf.zeros(tf.shape(x)[:1])
        inside = tf.fill(tf.shape(x)[:1], True)
        if self.adversary is None:
            logits = tf.cast(self._model(x, training=False), tf.float32)
        else:
            threat = self.adversary.threat
            epsilon = tf.ensure_shape(epsilon, np.shape(threat.epsilon))
            threat = threat._replace(epsilon=epsilon)
            adversary = self.adversary.against(threat)
            point = adversary.perturb(self._model, x, y)
            # One fresh float32 forward judges the point that was found.
            logits = adversary.logits(self._model, point, y)
            norm = threat.distance(x, point)
            inside = threat.contains(x, point)
        finite = tf.reduce_all(tf.math.is_finite(logits), axis=1)
        predicted = tf.argmax(logits, axis=1)
        correct = (predicted == y) & finite
        if isinstance(self.adversary, Verifier):
            # A tie proves nothing, and an infinite bound only says so.
            correct &= losses.margin(y, logits) < 0
            finite = tf.reduce_all(logits > -math.inf, axis=1)
        return {
            "point": point,
            "logits": logits,
            "predicted": predicted,
            "correct": correct,
            "finite": finite,
            "loss": losses.cross_entropy(y, logits),
            "norm": norm,
            "inside": inside,
        }
