"""The binary dense layer."""

from tfrobust.backend import register
from tfrobust.layers.binary import Binary
from tfrobust.layers.dense_form import DenseForm
from tfrobust.layers.hidden_kernel import shows_arguments


@register
@shows_arguments
class BinaryDense(DenseForm, Binary):
    """A dense layer of the signs of real weights, as in BinaryConnect.

    Args:
        units: Number of outputs.
        **kwargs: `stochastic`, `kernel_initializer`, `kernel_regularizer`,
            `seed`, `activation` and those of every Keras layer, all explained
            at `Binary`.

    Call arguments:
        inputs: Shape `[batch, ..., channels]`.

    Example:
        `tfr.layers.BinaryDense(10)`

    Reference: Courbariaux et al., 2015, arXiv 1511.00363.
    """
