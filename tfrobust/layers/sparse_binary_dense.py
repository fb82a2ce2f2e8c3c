"""The sparse binary dense layer."""

from tfrobust.backend import register
from tfrobust.layers.dense_form import DenseForm
from tfrobust.layers.hidden_kernel import shows_arguments
from tfrobust.layers.sparse_binary import SparseBinary


@register
@shows_arguments
class SparseBinaryDense(DenseForm, SparseBinary):
    """A dense layer that keeps the best scored of fixed random signs.

    Args:
        units: Number of outputs.
        **kwargs: `density`, `score_scale`, `initializer`,
            `score_regularizer`, `seed`, `activation` and those of every Keras
            layer, all explained at `SparseBinary`.

    Call arguments:
        inputs: Shape `[batch, ..., channels]`.

    Example:
        `tfr.layers.SparseBinaryDense(10, density=0.1)`

    Reference: Liu et al., 2022, arXiv 2202.01341.
    """
