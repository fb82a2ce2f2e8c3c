"""Running one adversary on batches, compiled once."""

import functools
import sys
import time

import numpy as np
import tensorflow as tf

from tfrobust import halves, losses
from tfrobust.evaluation.counter import Counter
from tfrobust.tracing import compiled, hardly_rewritten
from tfrobust.verifier import Verifier
from tfrobust.verifiers import PolyhedralEnvelope
from tfrobust.verifiers.memory import bytes_of

# The most examples that are bounded at once, however large the memory is.
_MOST = 256
# So many are done before a faster graph has paid back what it takes to make.
_FEW = 16


class Runner:
    """Answers for batches what an adversary makes of them.

    One trace serves every batch size and every epsilon. It is made for the
    first batch: an adversary for which nothing is left is never traced.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
        adversary: The `Adversary`, or None for the clean inputs.
        shape: Shape of one input.
        largest: The most examples that a batch may have, if that is known.
        memory: How many bytes a batch may take of a verifier; None for any
            number.

    Raises:
        ValueError: If the threat has radii of each example.
    """

    def __init__(
        self, model, adversary, shape, largest=halves.LEAST, memory=None
    ):
        _check_radii(adversary, tuple(shape))
        self.adversary, self.seconds = adversary, 0.0
        self._network, self._model = model, Counter(model)
        self._shape = tuple(shape)
        self._largest, self._memory = largest, memory

    def __call__(self, x, y, epsilon=None):
        """Returns NumPy arrays by name: see the keys in `_attacked`.

        Of a verifier: whether examples are `correct` for certain or
        `falsified`, the `margin`, NaN unless `finite`, and a `radius` that is
        proven, 0 where none is known.
        """
        function = self._function  # What it takes to trace is not counted.
        begin = time.perf_counter()
        if epsilon is None:
            epsilon = self.adversary and self.adversary.threat.epsilon
            epsilon = 0.0 if epsilon is None else epsilon
        with hardly_rewritten(self._largest <= _FEW):
            answer = function(
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

    @functools.cached_property
    def size(self):
        """The most examples to run on at once.

        Raises:
            NotImplementedError: If a verifier can't bound an op of the model.
            ValueError: If one example exceeds the memory.
        """
        size, verifier = sys.maxsize, self.adversary
        if not isinstance(verifier, Verifier):
            return size
        if self._memory is not None:
            bytes_each = self._bytes_each()
            if bytes_each > self._memory:
                raise ValueError(
                    "`memory` must allow one example, for which "
                    f"{type(verifier).__name__} takes about {bytes_each:,} "
                    f"bytes. Received: memory={self._memory:,}. Allow more, or "
                    "choose a cheaper verifier."
                )
            size = int(min(_MOST, self._memory // max(1, bytes_each)))
        self.adversary, size = self.adversary.within(size)
        return size

    def _bytes_each(self):
        """What an example takes: as its graph says, or else the verifier."""
        if hasattr(self._function, "graph"):
            return bytes_of(self._function.graph)
        return self.adversary.cost(self._network, self._shape) or 0

    @functools.cached_property
    def _function(self):
        """The answer as a graph, or as Python if it can't be one."""
        proves = isinstance(self.adversary, Verifier)
        if proves:
            self.adversary = self._settled()
        answer = self._decided if proves else self._attacked
        function = compiled(
            answer,
            tf.TensorSpec([None, *self._shape], tf.float32),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec(None, tf.float32),
        )
        try:
            with halves.of_batches(self._largest):
                return function.get_concrete_function()
        # What decides in Python can't be traced; what is wrong says so again.
        except Exception:
            if not proves:
                raise
            return answer

    def _settled(self):
        """The verifier, with what follows from weights that don't change."""
        if getattr(self._network, "varies", False):
            return self.adversary
        return self.adversary.settled(self._network, self._shape)

    def _attacked(self, x, y, epsilon):
        point, norm = x, tf.zeros(tf.shape(x)[:1])
        inside = tf.fill(tf.shape(x)[:1], True)
        if self.adversary is None:
            logits = tf.cast(self._model(x, training=False), tf.float32)
        else:
            adversary, threat = self._at(epsilon)
            point = adversary.perturb(self._model, x, y)
            # One fresh float32 forward judges the point that was found.
            logits = adversary.logits(self._model, point, y)
            norm = threat.distance(x, point)
            inside = threat.contains(x, point)
        finite = tf.reduce_all(tf.math.is_finite(logits), axis=1)
        predicted = tf.argmax(logits, axis=1)
        return {
            "point": point,
            "logits": logits,
            "predicted": predicted,
            "correct": (predicted == y) & finite,
            "finite": finite,
            "loss": losses.cross_entropy(y, logits),
            "norm": norm,
            "inside": inside,
        }

    def _at(self, epsilon):
        """The adversary, and its threat, of that epsilon if it has any."""
        threat = self.adversary.threat
        if threat.epsilon is None:
            return self.adversary, threat
        epsilon = tf.ensure_shape(epsilon, np.shape(threat.epsilon))
        threat = threat._replace(epsilon=epsilon)
        return self.adversary.against(threat), threat

    def _decided(self, x, y, epsilon):
        del epsilon  # Verifiers bound over their own threat.
        decision = self.adversary.decide(self._model, x, y)
        finite = ~tf.math.is_nan(tf.cast(decision.margin, tf.float32))
        return {
            "correct": decision.certified & finite,
            "falsified": self._refuted(decision, x, y),
            "margin": tf.cast(decision.margin, tf.float32),
            "finite": finite,
            "radius": self._radius(decision, finite, x, y),
            "norm": tf.zeros_like(decision.margin),
            "inside": tf.ones_like(finite),
        }

    def _radius(self, decision, finite, x, y):
        """A radius that is proven of each example, if a verifier knows it."""
        if not isinstance(self.adversary, PolyhedralEnvelope):
            return tf.zeros_like(decision.margin)
        radius = self.adversary.radius(self._model, x, y)
        return tf.where(finite, radius, 0.0)

    def _refuted(self, decision, x, y):
        """Whether a fresh forward confirms each counterexample."""
        if decision.point is None:
            return tf.zeros(tf.shape(x)[:1], tf.bool)
        logits = self._model(decision.point, training=False)
        wrong = tf.argmax(logits, axis=1) != y
        wrong |= ~tf.reduce_all(tf.math.is_finite(logits), axis=1)
        inside = self.adversary.threat.contains(x, decision.point)
        return decision.falsified & wrong & inside


def _check_radii(adversary, shape):
    """Refuses a box of each example: batches hold those that are left."""
    radii = np.shape(adversary and adversary.threat.epsilon)
    if len(radii) == len(shape) + 1 and radii[0] > 1:
        raise ValueError(
            "An evaluation needs a threat that does not depend on the example. "
            f"Received radii of shape {radii}, those of {radii[0]} examples. "
            f"Pass those of one, of shape {shape}, or call the verifier's "
            "`decide` itself."
        )
