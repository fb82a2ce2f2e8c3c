"""The pruning callback of TF-MOT, which counts steps. Imports TF-MOT."""

from typing import Any

from tfrobust.compression.tfmot import tfmot

Callback: Any = tfmot().sparsity.keras.UpdatePruningStep


class UpdatePruningStep(Callback):
    """TF-MOT's `UpdatePruningStep`, with the optimizer's step for schedules.

    Without it a pruned network doesn't train. It also masks the weights at the
    end of every epoch. Steps of a second `fit`, also with another optimizer,
    are counted on top.

    Example:
        `model.fit(x, y, callbacks=[tfr.compression.UpdatePruningStep()])`
    """

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        for layer in self.prunable_layers:
            layer.follow(self.model.optimizer)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        for layer in self.prunable_layers:
            layer.follow(None)
