"""Layers of hidden kernels, of sorted pairs and of images moved at random."""

from tfrobust.layers.binary_conv2d import BinaryConv2D
from tfrobust.layers.binary_dense import BinaryDense
from tfrobust.layers.crop_shift import CropShift
from tfrobust.layers.min_max import MinMax
from tfrobust.layers.sparse_binary_conv2d import SparseBinaryConv2D
from tfrobust.layers.sparse_binary_dense import SparseBinaryDense
from tfrobust.layers.sparse_binary_depthwise_conv2d import (
    SparseBinaryDepthwiseConv2D,
)

__all__ = [
    "BinaryConv2D",
    "BinaryDense",
    "CropShift",
    "MinMax",
    "SparseBinaryConv2D",
    "SparseBinaryDense",
    "SparseBinaryDepthwiseConv2D",
]


def __dir__() -> list[str]:
    return __all__
