"""Subnetworks that become sparse in stages."""

import math
from typing import Any

from tfrobust import checks
from tfrobust.backend import keras
from tfrobust.compression import layer_densities
from tfrobust.layers.sparse_binary import SparseBinary


class GradualDensity(keras.callbacks.Callback):
    """Lowers the density of a subnetwork in stages, while `fit` trains it.

    In stage t of S the density is `density ** (t / S)`, shared out by
    `layer_densities`; all stages take the same number of epochs. Each is
    traced once. The stage follows from the epoch alone, so training that goes
    on at an epoch is in the stage that it was in. Saved layers hold the
    density of their time.

    `keras.optimizers.schedules.CosineDecayRestarts` with `t_mul=1` restarts
    the learning rate with every stage, as the paper does.

    Args:
        density: Fraction of all kernel weights that the last stage keeps, in
            (0, 1].
        stages: Number of stages, at least 1 and at most one an epoch.
        p: How the kept weights are shared out, see `layer_densities`.
        checkpoint: A `ModelCheckpoint` of the best model that begins anew with
            each stage, or None: a denser network is no rival.

    Raises:
        ValueError: If an argument is out of its range; before the first epoch,
            if the model has no sparse binary layers, `fit` has fewer epochs
            than stages, or a stage would leave a layer without weights.

    Example:
        sparse = tfr.compression.subnetwork(network, density=0.1)
        model = tfr.RobustModel(sparse)
        model.compile("adam", objective=objective)
        gradual = tfr.callbacks.GradualDensity(density=0.1, stages=4)
        model.fit(x, y, epochs=40, callbacks=[gradual])

    Reference: Liu et al., 2022, arXiv 2202.01341.
    """

    def __init__(
        self,
        density: float,
        stages: int,
        p: float = 0.1,
        checkpoint: keras.callbacks.ModelCheckpoint | None = None,
    ):
        super().__init__()
        checks.positive(density, "density", high=1)
        checks.count(stages, "stages")
        checks.number(p, "p", 0, 1)
        kinds = keras.callbacks.ModelCheckpoint, type(None)
        checks.argument(
            isinstance(checkpoint, kinds),
            "checkpoint",
            "be a ModelCheckpoint or None",
            checkpoint,
        )
        self.density, self.stages, self.p = density, stages, p
        self.checkpoint = checkpoint

    def on_train_begin(self, logs: dict | None = None) -> None:
        if self.params["epochs"] < self.stages:
            raise ValueError(
                "`fit` needs at least one epoch for each stage. Received: "
                f"epochs={self.params['epochs']} and stages={self.stages}"
            )
        network: Any = getattr(self.model, "network", self.model)
        self._layers = [
            layer
            for layer in network._flatten_layers()
            if isinstance(layer, SparseBinary)
        ]
        if not self._layers:
            raise ValueError(
                "The model must have sparse binary layers. Received: "
                f"{network.name!r}, which has none. Did you mean to call "
                "`subnetwork` first?"
            )
        unbuilt = [layer.name for layer in self._layers if not layer.built]
        if unbuilt:
            raise ValueError(
                "The model must be built before `fit`. Received sparse layers "
                f"that aren't: {', '.join(unbuilt)}. Call it once."
            )
        sizes = [math.prod(layer.scores.shape) for layer in self._layers]
        # All of them now: the last one may be impossible.
        self._densities = [
            layer_densities(sizes, self.density ** (t / self.stages), self.p)
            for t in range(1, self.stages + 1)
        ]

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        stage = self._stage(epoch)
        densities = self._densities[stage - 1]
        if densities != [layer.density for layer in self._layers]:
            for layer, density in zip(self._layers, densities, strict=True):
                layer.density = density
            # What was traced keeps the densities of its time.
            self.model.make_train_function(force=True)
            self.model.make_test_function(force=True)
            self.model.make_predict_function(force=True)
        if self.checkpoint and epoch and stage > self._stage(epoch - 1):
            self.checkpoint.best = _worst(self.checkpoint)

    def _stage(self, epoch):
        """The stage of an epoch; they count from 1 and from 0."""
        return epoch * self.stages // self.params["epochs"] + 1


def _worst(checkpoint):
    """What every value is better than."""
    if checkpoint.monitor_op is None:  # Keras 3 has yet to choose one.
        return None
    return math.inf if checkpoint.monitor_op(0.0, 1.0) else -math.inf
