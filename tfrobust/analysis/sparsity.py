"""How few pixels hold what a map shows."""

import numpy as np

from tfrobust import checks
from tfrobust.analysis.maps import divided, pixels, rows, same_shape
from tfrobust.types import TensorLike


def gini(maps: TensorLike) -> np.ndarray:
    """The Gini index of the magnitudes of each map.

    Args:
        maps: Shape `[batch, ...]`.

    Returns:
        Shape `[batch]`: 0 of a constant map, `1 - 1 / features` of one that
        holds a single feature, NaN of one that is 0.

    Raises:
        ValueError: If the maps hold no finite numbers.

    Example:
        `tfr.analysis.gini(tfr.analysis.saliency(model, x)).mean()`

    Reference: Hurley and Rickard, 2009, arXiv 0811.4706.
    """
    ordered = np.sort(np.abs(rows(maps)), axis=1)
    count = ordered.shape[1]
    weights = (count - np.arange(1, count + 1) + 0.5) / count
    return 1 - 2 * divided(ordered @ weights, ordered.sum(axis=1))


def mass(maps: TensorLike, share: float = 0.9) -> np.ndarray:
    """The smallest fraction of pixels that hold a share of each map.

    Args:
        maps: Shape `[batch, ...]`; with four or more axes the last one counts
            channels, whose magnitudes are added.
        share: Of the sum of magnitudes, in (0, 1].

    Returns:
        Shape `[batch]`, in (0, 1]; NaN of a map that is 0.

    Raises:
        ValueError: If an argument isn't as expected.

    Example:
        maps = tfr.analysis.saliency(model, x)
        print(tfr.analysis.mass(maps, share=0.9).mean())
    """
    checks.positive(share, "share", high=1)
    held = pixels(maps).reshape(len(np.asarray(maps)), -1)
    sums = np.cumsum(-np.sort(-held, axis=1), axis=1)
    # Of a sum the last digits are rounding.
    short = sums < share * sums[:, -1:] * (1 - 1e-12)
    found = (1 + short.sum(axis=1)) / held.shape[1]
    return np.where(sums[:, -1] > 0, found, np.nan)


def object_mass(
    maps: TensorLike,
    x: TensorLike,
    threshold: float = 0.5,
    dilation: int = 1,
) -> np.ndarray:
    """The share of each map that lies on the object, such as a digit's stroke.

    Args:
        maps: Of x's shape.
        x: Images on a dark ground, shape `[batch, height, width]` or `[batch,
            height, width, channels]`, whose brightest channel counts.
        threshold: Above which a pixel belongs to the object.
        dilation: By how many pixels the object is widened to each side, and
            to each corner.

    Returns:
        Shape `[batch]`, in [0, 1]; NaN of a map that is 0.

    Raises:
        ValueError: If an argument isn't as expected.

    Example:
        maps = tfr.analysis.saliency(model, x)
        print(tfr.analysis.object_mass(maps, x).mean())
    """
    checks.number(threshold, "threshold")
    checks.count(dilation, "dilation", 0)
    same_shape(x, maps, "`x` and `maps`")
    images = np.asarray(x)
    expected = "be images, shape [batch, height, width] or with channels"
    checks.argument(images.ndim in (3, 4), "x", expected, images)
    bright = images.max(axis=-1) if images.ndim == 4 else images
    inside = bright > threshold
    for axis in (1, 2):
        inside = _dilated(inside, axis, dilation)
    held = pixels(maps)
    return divided(
        np.sum(held * inside, axis=(1, 2)), np.sum(held, axis=(1, 2))
    )


def _dilated(inside, axis, dilation):
    """Whether a pixel is at most so far from one inside, along an axis."""
    size = inside.shape[axis]
    around = [(0, 0)] * inside.ndim
    around[axis] = (dilation, dilation)
    padded = np.pad(inside, around)
    windows = [
        np.take(padded, range(k, k + size), axis)
        for k in range(2 * dilation + 1)
    ]
    return np.any(windows, axis=0)
