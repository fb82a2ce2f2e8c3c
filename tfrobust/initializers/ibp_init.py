"""Initial kernels through which intervals neither grow nor shrink."""

import math

from tfrobust.backend import keras, register


@register
class IBPInit(keras.initializers.VarianceScaling):
    """Normal kernels of standard deviation `sqrt(2 pi) / fan_in`.

    Common initial kernels let intervals grow from layer to layer by a factor
    that rises with the fan-in; with these it is about 1 through a layer and its
    ReLU. For every kernel but that of the last layer.

    Args:
        residual: Whether the layer reads the sum of two branches: then half of
            it, since intervals have added up.
        seed: As in Keras.

    Example:
        `keras.layers.Dense(100, kernel_initializer=tfr.initializers.IBPInit())`

    Reference: Shi et al., 2021, arXiv 2103.16744, section 3.2.
    """

    def __init__(self, residual: bool = False, seed: int | None = None):
        super().__init__(1.0, "fan_in", "untruncated_normal", seed)
        self.residual = residual

    def __call__(self, shape, dtype=None, **kwargs):
        fan_in = math.prod(shape[:-1])
        # Keras draws variance `scale / fan_in`.
        self.scale = 2 * math.pi / fan_in / (4 if self.residual else 1)
        return super().__call__(shape, dtype, **kwargs)

    def get_config(self) -> dict:
        return {"residual": self.residual, "seed": self.seed}
