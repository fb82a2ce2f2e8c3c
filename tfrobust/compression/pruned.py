"""The pruning wrapper of TF-MOT, which counts steps. Imports TF-MOT."""

from typing import Any

import tensorflow as tf

from tfrobust.backend import keras, register
from tfrobust.compression.tfmot import tfmot

with tfmot().sparsity.keras.prune_scope():
    # TF-MOT exports its wrapper only to files that are loaded.
    PruneLowMagnitude: Any = keras.saving.get_registered_object(
        "PruneLowMagnitude"
    )


@register
class Pruned(PruneLowMagnitude):
    """A layer whose smallest weights are masked.

    Differs from TF-MOT's wrapper in two ways. The schedule reads the steps of
    the optimizer, where TF-MOT counts forward passes: an objective that calls
    the network several times a step would hurry it. And what is saved has the
    pattern `sparsity_m_by_n` too.

    Raises:
        tf.errors.InvalidArgumentError: If it is trained without
            `UpdatePruningStep`.
    """

    iterations: Any = None  # Of the optimizer, a function that returns them.

    def build(self, input_shape):
        super().build(input_shape)
        self.earlier = self.add_weight(
            "earlier_steps",
            shape=[],
            initializer="zeros",
            dtype=tf.int64,
            trainable=False,
        )

    def follow(self, optimizer):
        """Counts the steps of `optimizer` on top of those counted so far.

        None ends that: a SavedModel cannot hold an optimizer's variable.
        """
        if optimizer is None:
            self.iterations = None
            return
        self.earlier.assign(self.pruning_step - optimizer.iterations)
        self.iterations = lambda: optimizer.iterations

    def call(self, inputs, training=None, **kwargs):
        if training:
            self._synchronize()
        return super().call(inputs, training=training, **kwargs)

    def get_config(self):
        config = super().get_config()
        return {**config, "sparsity_m_by_n": self.sparsity_m_by_n}

    def _synchronize(self):
        """Undoes the counting of earlier forward passes of this step."""
        if self.iterations is None:
            # An op, since Keras traces training without doing any, to save.
            tf.debugging.Assert(False, [_WITHOUT_CALLBACK, self.name])
            return
        self.pruning_step.assign(self.earlier + self.iterations())


_WITHOUT_CALLBACK = (
    "A pruned layer needs to know the steps of the optimizer. Pass "
    "callbacks=[tfr.compression.UpdatePruningStep()] to `fit`; TF-MOT's "
    "callback of that name counts forward passes. Received none in the layer"
)
