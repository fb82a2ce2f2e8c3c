"""The sparse binary convolution."""

from tfrobust.backend import register
from tfrobust.layers.conv2d_form import Conv2DForm
from tfrobust.layers.hidden_kernel import shows_arguments
from tfrobust.layers.sparse_binary import SparseBinary


@register
@shows_arguments
class SparseBinaryConv2D(Conv2DForm, SparseBinary):
    """A convolution that keeps the best scored of fixed random signs.

    Args:
        filters: Number of output channels.
        kernel_size: Height and width of the kernel, an integer or a pair.
        strides: An integer or a pair.
        padding: `"valid"` or `"same"`.
        dilation_rate: An integer or a pair.
        **kwargs: `density`, `score_scale`, `initializer`,
            `score_regularizer`, `seed`, `activation` and those of every Keras
            layer, all explained at `SparseBinary`.

    Call arguments:
        inputs: Images, shape `[batch, height, width, channels]`.

    Example:
        `tfr.layers.SparseBinaryConv2D(32, 3, density=0.1)`

    Reference: Liu et al., 2022, arXiv 2202.01341.
    """
