"""How fast a class goes as pixels are deleted, and comes as they return."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.analysis.maps import pixels, same_shape
from tfrobust.analysis.problem import in_batches, problem
from tfrobust.averaging import on_network
from tfrobust.types import Model, TensorLike


class DeletionInsertion(NamedTuple):
    """Areas under the probability of a class.

    Attributes:
        deletion: Over the fraction of pixels deleted, shape `[batch]`; small
            where the map finds what the class rests on.
        insertion: Over the fraction inserted, likewise; large there.
        fractions: Of pixels, shape `[steps + 1]`, from 0 to 1.
        deleted: Probabilities as pixels go, shape `[batch, steps + 1]`.
        inserted: Probabilities as pixels come, likewise.
    """

    deletion: np.ndarray
    insertion: np.ndarray
    fractions: np.ndarray
    deleted: np.ndarray
    inserted: np.ndarray


@on_network
def deletion_insertion(
    model: Model,
    x: TensorLike,
    maps: TensorLike,
    y: TensorLike | None = None,
    fill: TensorLike | None = None,
    steps: int = 50,
    batch_size: int = 128,
) -> DeletionInsertion:
    """Deletes and inserts the pixels of each input in the order of its map.

    Args:
        model: A `RobustModel`, or any callable `model(x, training=False) ->
            logits`.
        x: Inputs, shape `[batch, ...]`, floating point; with four or more axes
            the last one counts channels, which go and come together.
        maps: Of x's shape; pixels of large magnitude are first. To have those
            first that speak for the class, pass `np.maximum(maps, 0)`.
        y: Integer labels, shape `[batch]`; None for those predicted at x.
        fill: What stands where a pixel is missing, which broadcasts to x's
            shape; None for the mean of x.
        steps: Number of parts in which all pixels go.
        batch_size: Number of examples that are worked on at once.

    Returns:
        A `DeletionInsertion`.

    Raises:
        ValueError: If an argument isn't as expected.

    Example:
        maps = tfr.analysis.saliency(model, x)
        print(tfr.analysis.deletion_insertion(model, x, maps).deletion.mean())

    Reference: Petsiuk et al., 2018, arXiv 1806.07421.
    """
    checks.count(steps, "steps")
    x, y = problem(model, x, y, batch_size)
    same_shape(x, maps, "`x` and `maps`")
    fill = x.mean(axis=0) if fill is None else np.asarray(fill, np.float32)
    try:
        fill = np.ascontiguousarray(np.broadcast_to(fill, x.shape))
    except ValueError as error:
        raise ValueError(
            f"`fill` must broadcast to x's shape, {x.shape}. Received: shape "
            f"{fill.shape}"
        ) from error
    places = _places(pixels(maps))
    count = places[0].size
    counts = np.rint(np.linspace(0, count, steps + 1)).astype(np.int32)
    # Channels go together.
    places = places.reshape(*places.shape, *[1] * (x.ndim - places.ndim))

    def curves(x, y, fill, places):
        def probabilities(gone, kept, moved):
            point = tf.where(places < moved, gone, kept)
            logits = tf.cast(model(point, training=False), tf.float32)
            shares = tf.nn.softmax(logits)
            return tf.gather(shares, y, axis=1, batch_dims=1)

        def one(moved):
            return tf.stack(
                [probabilities(fill, x, moved), probabilities(x, fill, moved)]
            )

        found = tf.map_fn(
            one,
            tf.constant(counts),
            parallel_iterations=1,
            fn_output_signature=tf.float32,
        )
        return tf.transpose(found, [2, 1, 0])

    both = in_batches(curves, batch_size, x, y, fill, places)
    fractions = counts / count
    means = (both[..., 1:] + both[..., :-1]) / 2
    areas = np.asarray(means * np.diff(fractions), np.float64).sum(axis=-1)
    return DeletionInsertion(
        areas[:, 0], areas[:, 1], fractions, both[:, 0], both[:, 1]
    )


def _places(held):
    """The place of each pixel in the order of magnitudes, int32."""
    flat = held.reshape(len(held), -1)
    order = np.argsort(-flat, axis=1, kind="stable")
    return np.argsort(order, axis=1).astype(np.int32).reshape(held.shape)
