"""Noise of sensors and of transmission."""

import tensorflow as tf

from tfrobust import streams
from tfrobust.corruptions.images import clipped, prepared
from tfrobust.types import TensorLike


def gaussian_noise(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Adds normal noise of standard deviation 0.04 to 0.2.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Integer that keys the noise, beside the image itself.

    Example:
        `tfr.corruptions.gaussian_noise(x_test, severity=3)`
    """
    x, sigma = prepared(x, severity, (0.04, 0.08, 0.12, 0.16, 0.2))
    return clipped(x + sigma * streams.normal(x, seed))


def speckle_noise(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Adds normal noise in proportion to the value, 0.1 to 0.5 of it.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Integer that keys the noise, beside the image itself.

    Example:
        `tfr.corruptions.speckle_noise(x_test, severity=3)`
    """
    x, sigma = prepared(x, severity, (0.1, 0.2, 0.3, 0.4, 0.5))
    return clipped(x + sigma * x * streams.normal(x, seed))


def impulse_noise(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Turns a share of 0.02 to 0.18 of the values to 0 or 1, half each.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Integer that keys the noise, beside the image itself.

    Example:
        `tfr.corruptions.impulse_noise(x_test, severity=3)`
    """
    x, share = prepared(x, severity, (0.02, 0.04, 0.08, 0.12, 0.18))
    lot = streams.uniform(x, seed)
    x = tf.where(lot < share / 2, 0.0, x)
    return tf.where(lot >= 1 - share / 2, 1.0, x)


def shot_noise(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Counts photons: Poisson numbers of mean `n * x`, over n, 100 to 6.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Integer that keys the noise, beside the image itself.

    Example:
        `tfr.corruptions.shot_noise(x_test, severity=3)`
    """
    x, photons = prepared(x, severity, (100.0, 50.0, 25.0, 12.0, 6.0))
    mean = tf.cast(photons * x, tf.float64)
    lot = tf.cast(streams.uniform(x, seed), tf.float64)
    below = tf.exp(-mean)

    def count(number, chance, below, found):
        # The smallest number of which the distribution function isn't below.
        found += tf.cast(lot >= below, tf.float64)
        chance *= mean / (number + 1)
        return number + 1, chance, below + chance, found

    *_, found = tf.while_loop(
        lambda *_: True,
        count,
        (tf.constant(0.0, tf.float64), below, below, tf.zeros_like(mean)),
        maximum_iterations=int(photons + 8 * photons**0.5),
    )
    return clipped(tf.cast(found / photons, tf.float32))
