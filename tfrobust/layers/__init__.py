"""Layers of hidden kernels, and one that moves images at random."""

from tfrobust.layers.binary_conv2d import BinaryConv2D
from tfrobust.layers.binary_dense import BinaryDense
from tfrobust.layers.crop_shift import CropShift
from tfrobust.layers.sparse_binary_conv2d import SparseBinaryConv2D
from tfrobust.layers.sparse_binary_dense import SparseBinaryDense
from tfrobust.layers.sparse_binary_depthwise_conv2d import (
    SparseBinaryDepthwiseConv2D,
)

__all__ = [
    "BinaryConv2D",
    "BinaryDense",
    "CropShift",
    "SparseBinaryConv2D",
    "SparseBinaryDense",
    "SparseBinaryDepthwiseConv2D",
]


def __dir__() -> list[str]:
    return __all__
