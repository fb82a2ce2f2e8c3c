"""Forgetting what was remembered of instances."""

from tfrobust import checks
from tfrobust.backend import keras


class ResetMemory(keras.callbacks.Callback):
    """Makes the memory of instances as it was before the first step.

    Args:
        every: Epochs between two resets, at least 1; none is before the first
            epoch.

    Raises:
        ValueError: If `every` isn't a positive whole number.

    Example:
        model.compile("sgd", objective=tfr.objectives.ATTA(linf))
        reset = tfr.callbacks.ResetMemory(every=10)
        model.fit(tfr.instances.Indexed(x, index), y, callbacks=[reset])
    """

    def __init__(self, every: int):
        super().__init__()
        checks.count(every, "every")
        self.every = every

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if epoch and epoch % self.every == 0:
            self.model.memory.reset()
