"""A network with named inputs, outputs and signatures."""

import itertools

import numpy as np
import tensorflow as tf

from tfrobust.exporting import guard
from tfrobust.exporting.answers import CLASSES
from tfrobust.exporting.packed_network import PackedNetwork
from tfrobust.losses import true_class
from tfrobust.tracing import compiled

# The class of an input that isn't certified, or can't be classified.
ABSTAINED = np.int64(-1)


class ServedNetwork(tf.Module):
    """What a SavedModel answers, signature by signature.

    Args:
        network: Any callable `network(x, training=False) -> logits`.
        spec: `tf.TensorSpec` of a batch of inputs; its name is the input's.
        pack: Whether to pack kernels where that is smaller.
        verifier: The `Verifier` that certifies; None leaves out the
            signatures of it.
        answers: What the outputs are, an `Answers`.

    Attributes:
        network: The `PackedNetwork`.
    """

    def __init__(
        self, network, spec, pack=True, verifier=None, answers=CLASSES
    ):
        super().__init__()
        self.network = PackedNetwork(network, spec, pack)
        # Servers restore only what is tracked, and Keras 3 hides its
        # variables.
        self._tracked = self.network.variables
        self._spec, self._verifier, self._answers = spec, verifier, answers

    def signatures(self, outputs=None):
        """The concrete functions to save, by signature.

        Args:
            outputs: Names of outputs of `serving_default`; None for all.

        Raises:
            ValueError: If one calls Python, which runs in this process alone.
        """

        def predicted(x):
            found = self._predicted(guard.shaped(x, self._spec))
            return {name: found[name] for name in outputs or found}

        answers = {"serving_default": predicted}
        if self._verifier is not None:
            # Both call one function: the graph of the bounds is large.
            self._certified = compiled(self._bounded, self._spec)
            answers["certify"] = self._certified
            answers["predict_or_abstain"] = self._predicted_or_abstained
        functions = {
            name: compiled(answer, self._spec).get_concrete_function()
            for name, answer in answers.items()
        }
        for name, function in functions.items():
            _check_portable(name, function.graph.as_graph_def())
        return functions

    def _predicted(self, x):
        return self._answers.named(self.network(x))

    def _bounded(self, x):
        x = guard.shaped(x, self._spec)
        count = tf.shape(x)[0]
        x, fine = guard.admitted(
            guard.filled(x, self._spec), self._verifier.threat
        )
        logits = self.network(x)
        fine &= guard.every(tf.math.is_finite(logits))
        predicted = tf.argmax(logits, axis=-1)
        margins = self._verifier.margins(self.network, x, predicted)
        # Entry y of the margins is 0: the class itself is no rival.
        own = true_class(predicted, logits)
        margin = tf.reduce_min(tf.where(own, float("inf"), margins), axis=-1)
        # What isn't a number proves nothing, and a minimum may pass it over.
        fine &= guard.every(own | tf.math.is_finite(margins))
        fine &= tf.math.is_finite(margin)
        answers = {
            "class": tf.where(fine, predicted, ABSTAINED),
            "certified": fine & (margin > 0),
            "margin": tf.where(fine, margin, -float("inf")),
            "epsilon": tf.fill(tf.shape(margin), self._epsilon()),
        }
        return {name: answer[:count] for name, answer in answers.items()}

    def _predicted_or_abstained(self, x):
        found = self._certified(guard.shaped(x, self._spec))
        return {
            "class": tf.where(found["certified"], found["class"], ABSTAINED)
        }

    def _epsilon(self):
        return tf.reduce_max(tf.cast(self._verifier.threat.epsilon, tf.float32))


def _check_portable(name, definition):
    """Refuses a graph that no other process can run."""
    bodies = (body.node_def for body in definition.library.function)
    for node in itertools.chain(definition.node, *bodies):
        if node.op in ("PyFunc", "PyFuncStateless", "EagerPyFunc"):
            raise ValueError(
                "What is exported must run without Python. Received: the "
                f"signature {name!r}, which calls it at {node.name!r}. Replace "
                "tf.numpy_function and tf.py_function by ops of TensorFlow."
            )
