"""What lenses and motion do."""

import math

import numpy as np
import tensorflow as tf

from tfrobust.corruptions.images import (
    clipped,
    drawn,
    filtered,
    gaussian,
    prepared,
    side,
    transformed,
)
from tfrobust.types import TensorLike


def gaussian_blur(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Convolves with a Gaussian of 0.4 to 1.6 pixels, of a side of 32.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Not used: nothing is drawn.

    Example:
        `tfr.corruptions.gaussian_blur(x_test, severity=3)`
    """
    x, sigma = prepared(x, severity, (0.4, 0.7, 1.0, 1.3, 1.6))
    return clipped(filtered(x, gaussian(max(0.3, sigma * side(x) / 32))))


def defocus_blur(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Convolves with a disk of radius 1 to 3 pixels, of a side of 32.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Not used: nothing is drawn.

    Example:
        `tfr.corruptions.defocus_blur(x_test, severity=3)`
    """
    x, radius = prepared(x, severity, (1.0, 1.5, 2.0, 2.5, 3.0))
    radius = max(0.6, radius * side(x) / 32)
    around = math.ceil(radius)
    line = np.arange(-around, around + 1)
    # A pixel that the rim crosses counts in part.
    inside = radius + 0.5 - np.hypot(line[:, np.newaxis], line)
    return clipped(filtered(x, np.clip(inside, 0, 1)))


def motion_blur(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Averages along a line of 2 to 8 pixels, of a side of 32.

    Its direction is drawn for each image.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Integer that keys the direction, beside the image itself.

    Example:
        `tfr.corruptions.motion_blur(x_test, severity=3)`
    """
    x, length = prepared(x, severity, (2.0, 3.0, 4.0, 6.0, 8.0))
    length *= side(x) / 32
    angle = math.pi * drawn(x, seed, [])
    places = np.linspace(-length / 2, length / 2, 2 * math.ceil(length) + 1)
    total = tf.zeros_like(x)
    for place in places.tolist():
        right, down = place * tf.cos(angle), place * tf.sin(angle)
        total += transformed(x, (1.0, 0.0, right, 0.0, 1.0, down))
    return clipped(total / len(places))


def zoom_blur(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Averages over zooms from 1 to a factor of 1.06 to 1.3.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Not used: nothing is drawn.

    Example:
        `tfr.corruptions.zoom_blur(x_test, severity=3)`
    """
    x, most = prepared(x, severity, (1.06, 1.12, 1.18, 1.24, 1.3))
    zooms = np.linspace(1.0, most, 9).tolist()
    down, right = ((length - 1) / 2 for length in x.shape[1:3])
    total = tf.zeros_like(x)
    for zoom in zooms:
        rest = 1 - 1 / zoom
        rows = (1 / zoom, 0.0, rest * right, 0.0, 1 / zoom, rest * down)
        total += transformed(x, rows)
    return clipped(total / len(zooms))
