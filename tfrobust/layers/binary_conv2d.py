"""The binary convolution."""

from tfrobust.backend import register
from tfrobust.layers.binary import Binary
from tfrobust.layers.conv2d_form import Conv2DForm
from tfrobust.layers.hidden_kernel import shows_arguments


@register
@shows_arguments
class BinaryConv2D(Conv2DForm, Binary):
    """A convolution with the signs of real weights, as in BinaryConnect.

    Args:
        filters: Number of output channels.
        kernel_size: Height and width of the kernel, an integer or a pair.
        strides: An integer or a pair.
        padding: `"valid"` or `"same"`.
        dilation_rate: An integer or a pair.
        **kwargs: `stochastic`, `kernel_initializer`, `kernel_regularizer`,
            `seed`, `activation` and those of every Keras layer, all explained
            at `Binary`.

    Call arguments:
        inputs: Images, shape `[batch, height, width, channels]`.

    Example:
        `tfr.layers.BinaryConv2D(32, 3)`

    Reference: Courbariaux et al., 2015, arXiv 1511.00363.
    """
