"""The pruning wrapper of TF-MOT, which counts steps. Imports TF-MOT."""

from typing import Any

from tfrobust import hoisting
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

    Differs from TF-MOT's wrapper in two ways. The schedule counts the steps of
    `RobustModel`, where TF-MOT counts forward passes: an objective that calls
    the network several times a step would hurry it. And what is saved has the
    pattern `sparsity_m_by_n` too.
    """

    def call(self, inputs: Any, training: Any = None, **kwargs) -> Any:
        if training:
            # TF-MOT adds one at every call.
            before = hoisting.at_first_call(self, self.pruning_step.read_value)
            if before is not None:
                self.pruning_step.assign(before)
        return super().call(inputs, training=training, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "sparsity_m_by_n": self.sparsity_m_by_n}
